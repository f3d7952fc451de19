"""The report of a run: report.md and report.html with everything that one looks at first."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geosurge_jax.evaluation.curves import Curve, draw_curves
from geosurge_jax.evaluation.page import Picture, Section, write_page
from geosurge_jax.evaluation.reliability import draw_reliability
from geosurge_jax.evaluation.results import Results
from geosurge_jax.evaluation.tables import (
    accuracy_table,
    calibration_table,
    continent_table,
    decision_table,
    level_table,
    pair_table,
)


@dataclass(frozen=True)
class ReportData:
    """What a report is made of; what is empty is left out.

    Attributes:
        title: first line.
        config: nested mapping of plain values.
        results: by data set.
        description: rows (name, value) about the system and its hierarchy.
        level_accuracy: shares 0..1 by data set, one a level, coarse to fine.
        geocells: number of cells of each level, coarse to fine.
        curves: metrics over training.
        maps: PNG by data set.
    """

    title: str
    config: Mapping[str, Any]
    results: Mapping[str, Results]
    description: Sequence[tuple[str, str]] = ()
    level_accuracy: Mapping[str, Sequence[float]] = field(default_factory=dict)
    geocells: Sequence[int] = ()
    curves: Sequence[Curve] = ()
    maps: Mapping[str, bytes] = field(default_factory=dict)


def write_report(directory: str | os.PathLike, data: ReportData) -> tuple[Path, Path]:
    """Writes report.md with its pictures beside it, and report.html with its pictures inside.

    Args:
        directory: an existing folder.
        data: what to show.

    Returns:
        Paths of report.md and report.html.

    Raises:
        OSError: a file cannot be written.
        ValueError: the data sets were measured in different ways, or levels do not fit the
            hierarchy.
    """
    return write_page(directory, data.title, _sections(data))


def _sections(data: ReportData) -> list[Section]:
    sections = []
    if data.results:
        sections.append(Section("Accuracy", (accuracy_table(data.results),)))
    for name, results in data.results.items():
        if len(results.system.answers) > 1:
            table = decision_table(results)
            sections.append(Section(f"{name}: accuracy by decision", (table,)))
    for name, png in data.maps.items():
        caption = f"{name}: photos at their true places, lines to the predicted places."
        picture = Picture(f"report-map-{_file_name(name)}.png", caption, png)
        sections.append(Section(f"Map of {name}", (picture,)))
    calibrated = {
        name: results.system.calibration
        for name, results in data.results.items()
        if results.system.calibration is not None
    }
    if calibrated:
        picture = Picture(
            "report-reliability.png",
            "What the posterior claims against what happens, on the grid of equal areas.",
            draw_reliability(calibrated),
        )
        sections.append(Section("Calibration", (calibration_table(data.results), picture)))
    if data.curves:
        picture = Picture("report-curves.png", "Training and validation.", draw_curves(data.curves))
        sections.append(Section("Training", (picture,)))
    if data.level_accuracy:
        table = level_table(data.level_accuracy, data.geocells)
        sections.append(Section("Accuracy by level of the hierarchy", (table,)))
    for name, results in data.results.items():
        table = continent_table(results.system.summary)
        sections.append(Section(f"{name} by continent", (table,)))
    if data.description:
        table = pair_table(("system", "value"), data.description)
        sections.append(Section("System", (table,)))
    if data.config:
        table = pair_table(("config field", "value"), _flat(data.config))
        sections.append(Section("Config", (table,), folded=True))
    return sections


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A nested mapping as rows (dotted name, value), in the order of the mapping."""
    rows = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            rows.extend(_flat(value, f"{prefix}{name}."))
        else:
            rows.append((f"{prefix}{name}", value if isinstance(value, str) else repr(value)))
    return rows


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text).strip("-").lower()
