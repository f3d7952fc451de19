"""Over the seeds of a league: means with their spread, and whether published directions hold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geosurge_jax.experiment.league_config import Direction
from geosurge_jax.experiment.league_runs import Finished

# Quantile 0.975 of Student's distribution for 1, 2, ... degrees of freedom.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)

AGREES, DISAGREES, UNDECIDED = "agrees", "disagrees", "undecided"


@dataclass(frozen=True)
class OverSeeds:
    """A number over the seeds of an experiment.

    Attributes:
        mean: over the seeds.
        spread: standard deviation over the seeds; None of one seed.
        low: end of the 95 % bootstrap interval over photos, mean over the seeds; None where none was taken.
        high: the other end.
        seeds: how many.
    """

    mean: float
    spread: float | None
    low: float | None
    high: float | None
    seeds: int


def metrics(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The numbers of an entry of `scores.json` by name, each with `value`, `low` and `high`.

    Args:
        entry: of a data set, a decision or a floor. Names are as in the metrics of training, such as
            `accuracy/200km`.
    """
    scores = entry["scores"]
    found = {
        f"accuracy/{radius:g}km": accuracy
        for radius, accuracy in zip(entry["radii_km"], scores["accuracy"], strict=True)
    }
    found |= {name: scores[name] for name in ("median_km", "mean_km", "geoscore")}
    calibration = entry.get("calibration")
    if calibration is not None:
        found["log_likelihood"] = calibration["log_likelihood"]
        for name in (
            "top_hit", "calibration_error", "coverage_50", "coverage_90", "area_50_km2", "area_90_km2",
        ):  # fmt: skip
            found[name] = {"value": calibration[name], "low": None, "high": None}
    return found


def over_seeds(estimates: Sequence[Mapping[str, Any]]) -> OverSeeds:
    """One number of each seed, put together."""
    values = [estimate["value"] for estimate in estimates]
    bounded = all(estimate["low"] is not None for estimate in estimates)
    return OverSeeds(
        mean=float(np.mean(values)),
        spread=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        low=float(np.mean([each["low"] for each in estimates])) if bounded else None,
        high=float(np.mean([each["high"] for each in estimates])) if bounded else None,
        seeds=len(values),
    )


def summarize_entries(entries: Sequence[Mapping[str, Any]]) -> dict[str, OverSeeds]:
    """Every number of the entries of several seeds."""
    by_seed = [metrics(entry) for entry in entries]
    return {name: over_seeds([each[name] for each in by_seed]) for name in by_seed[0]}


@dataclass(frozen=True)
class Outcome:
    """A published direction at one radius, and what this league says of it.

    Attributes:
        direction: what was published.
        radius_km: where.
        difference: better minus worse in accuracy 0..1, mean over the seeds that both have; NaN of none.
        margin: half of the difference's 95 % interval by Student's distribution; infinite below two seeds.
        seeds: how many pairs.
    """

    direction: Direction
    radius_km: float
    difference: float
    margin: float
    seeds: int

    @property
    def verdict(self) -> str:
        """Whether the published direction was found, its opposite, or neither beyond the spread."""
        if not abs(self.difference) > self.margin:
            return UNDECIDED
        return AGREES if self.difference > 0 else DISAGREES


def judge(direction: Direction, runs: Sequence[Finished], data_set: str) -> list[Outcome]:
    """Holds a published direction against the finished runs, radius by radius.

    Runs of the same seed see the same photos in the same order, so they are compared in pairs.
    """

    def accuracies(name: str, metric: str) -> dict[int, float]:
        return {
            run.seed: metrics(run.scores[data_set])[metric]["value"]
            for run in runs
            if run.name == name
        }

    outcomes = []
    for radius in direction.radii_km:
        metric = f"accuracy/{radius:g}km"
        better, worse = accuracies(direction.better, metric), accuracies(direction.worse, metric)
        pairs = [better[seed] - worse[seed] for seed in sorted(better.keys() & worse.keys())]
        count = len(pairs)
        margin = math.inf
        if count > 1:
            student = _STUDENT[min(count - 1, len(_STUDENT)) - 1]
            margin = student * float(np.std(pairs, ddof=1)) / math.sqrt(count)
        difference = float(np.mean(pairs)) if pairs else math.nan
        outcomes.append(Outcome(direction, radius, difference, margin, count))
    return outcomes
