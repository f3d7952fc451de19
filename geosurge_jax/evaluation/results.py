"""What an evaluation found on a data set: of the system under each decision, and of the floors beside it."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geosurge_jax.evaluation.calibration import CalibrationSummary
from geosurge_jax.evaluation.chance import Chance
from geosurge_jax.evaluation.metrics import Summary
from geosurge_jax.geo import atomic_file


@dataclass(frozen=True)
class Scored:
    """The numbers of one that answers.

    Attributes:
        answers: by decision, at least one; the first is the one that tables without decisions show.
        calibration: of its posterior; None where it has none to speak of.
    """

    answers: Mapping[str, Summary]
    calibration: CalibrationSummary | None

    @property
    def summary(self) -> Summary:
        """The numbers under the first decision."""
        return next(iter(self.answers.values()))


@dataclass(frozen=True)
class Results:
    """The numbers of a data set.

    Attributes:
        system: of the system.
        floors: by name, those that answer without looking at the photo.
        chance: of a random training photo's place; None where it is not known.
    """

    system: Scored
    floors: Mapping[str, Scored] = dataclasses.field(default_factory=dict)
    chance: Chance | None = None


def write_results(path: str | os.PathLike, results: Mapping[str, Results]) -> None:
    """Writes results by data set as JSON, atomically, the same bytes for the same numbers.

    An entry is the summary under the first decision, and `decisions`, `calibration`, `chance` and `floors`
    beside it.

    Raises:
        OSError: the file cannot be written.
    """
    content = {
        name: {
            **_summary(each.system.summary),
            "decision": next(iter(each.system.answers)),
            **_scored(each.system),
            "chance": None if each.chance is None else dataclasses.asdict(each.chance),
            "floors": {floor: _scored(scored) for floor, scored in each.floors.items()},
        }
        for name, each in results.items()
    }
    with atomic_file(path) as file:
        file.write((json.dumps(content, indent=2, sort_keys=True) + "\n").encode())


def _scored(scored: Scored) -> dict[str, Any]:
    calibration = scored.calibration
    return {
        "decisions": {name: _summary(summary) for name, summary in scored.answers.items()},
        "calibration": None if calibration is None else dataclasses.asdict(calibration),
    }


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        **dataclasses.asdict(summary),
        "continents": {name: dataclasses.asdict(scores) for name, scores in summary.continents},
    }
