"""The report of a run: report.md and report.html with everything that one looks at first."""

import base64
import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geosurge_jax.evaluation.chance import Chance
from geosurge_jax.evaluation.curves import Curve, draw_curves
from geosurge_jax.evaluation.metrics import Summary
from geosurge_jax.evaluation.tables import (
    Table,
    accuracy_table,
    continent_table,
    level_table,
    pair_table,
)
from geosurge_jax.geo import atomic_file


@dataclass(frozen=True)
class ReportData:
    """What a report is made of; what is empty is left out.

    Attributes:
        title: first line.
        config: nested mapping of plain values.
        description: rows (name, value) about the system and its hierarchy.
        summaries: by data set.
        chances: by data set.
        level_accuracy: shares 0..1 by data set, one a level, coarse to fine.
        geocells: number of cells of each level, coarse to fine.
        curves: metrics over training.
        maps: PNG by data set.
    """

    title: str
    config: Mapping[str, Any]
    summaries: Mapping[str, Summary]
    description: Sequence[tuple[str, str]] = ()
    chances: Mapping[str, Chance] = field(default_factory=dict)
    level_accuracy: Mapping[str, Sequence[float]] = field(default_factory=dict)
    geocells: Sequence[int] = ()
    curves: Sequence[Curve] = ()
    maps: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class _Picture:
    file_name: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class _Section:
    heading: str
    parts: tuple[Table | _Picture, ...]
    folded: bool = False


def write_report(directory: str | os.PathLike, data: ReportData) -> tuple[Path, Path]:
    """Writes report.md with its pictures beside it, and report.html with its pictures inside.

    Each file is written atomically; the HTML needs nothing but itself.

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
    directory = Path(directory)
    sections = _sections(data)
    markdown, page = directory / "report.md", directory / "report.html"
    for section in sections:
        for part in section.parts:
            if isinstance(part, _Picture):
                _write(directory / part.file_name, part.png)
    _write(markdown, _markdown(data.title, sections).encode())
    _write(page, _html(data.title, sections).encode())
    return markdown, page


def _sections(data: ReportData) -> list[_Section]:
    sections = []
    if data.summaries:
        table = accuracy_table(data.summaries, data.chances)
        sections.append(_Section("Accuracy", (table,)))
    for name, png in data.maps.items():
        caption = f"{name}: photos at their true places, lines to the predicted places."
        picture = _Picture(f"report-map-{_file_name(name)}.png", caption, png)
        sections.append(_Section(f"Map of {name}", (picture,)))
    if data.curves:
        picture = _Picture(
            "report-curves.png", "Training and validation.", draw_curves(data.curves)
        )
        sections.append(_Section("Training", (picture,)))
    if data.level_accuracy:
        table = level_table(data.level_accuracy, data.geocells)
        sections.append(_Section("Accuracy by level of the hierarchy", (table,)))
    for name, summary in data.summaries.items():
        sections.append(_Section(f"{name} by continent", (continent_table(summary),)))
    if data.description:
        table = pair_table(("system", "value"), data.description)
        sections.append(_Section("System", (table,)))
    if data.config:
        table = pair_table(("config field", "value"), _flat(data.config))
        sections.append(_Section("Config", (table,), folded=True))
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


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


def _markdown(title: str, sections: Sequence[_Section]) -> str:
    lines = [f"# {title}", ""]
    for section in sections:
        lines += [f"## {section.heading}", ""]
        for part in section.parts:
            if isinstance(part, _Picture):
                lines += [f"![{part.caption}]({part.file_name})", ""]
            else:
                lines += [part.markdown(), ""]
    return "\n".join(lines).rstrip() + "\n"


def _html(title: str, sections: Sequence[_Section]) -> str:
    body = "\n".join(_html_section(section) for section in sections)
    return _PAGE.format(title=html.escape(title), style=_STYLE, body=body)


def _html_section(section: _Section) -> str:
    content = "\n".join(
        _html_picture(part) if isinstance(part, _Picture) else part.html() for part in section.parts
    )
    heading = html.escape(section.heading)
    if section.folded:
        return f"<details><summary><h2>{heading}</h2></summary>\n{content}</details>"
    return f"<section><h2>{heading}</h2>\n{content}</section>"


def _html_picture(picture: _Picture) -> str:
    caption = html.escape(picture.caption)
    data = base64.b64encode(picture.png).decode()
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""

_STYLE = """
body { max-width: 68rem; margin: 2.5rem auto; padding: 0 1.25rem; color: #1f2933;
  background: #fff; font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1.5rem; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; vertical-align: top; border-bottom: 1px solid #e6eaee; }
th { font-weight: 600; vertical-align: bottom; border-bottom: 2px solid #c9d1d9; }
.text { text-align: left; }
.number { text-align: right; }
th:first-child, td:first-child { padding-left: 0; }
td small { display: block; color: #66727f; font-size: .75rem; white-space: nowrap; }
.note, figcaption { color: #52606d; font-size: .85rem; max-width: 48rem; margin: .6rem 0 0; }
figure { margin: 0; }
img { max-width: 100%; height: auto; }
summary { cursor: pointer; }
summary h2 { display: inline-block; }
details td { overflow-wrap: anywhere; }
"""
