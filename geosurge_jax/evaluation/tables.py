"""Tables of a report: rows of text that come out as markdown or HTML."""

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geosurge_jax.evaluation.chance import Chance
from geosurge_jax.evaluation.metrics import Estimate, Scores, Summary
from geosurge_jax.geo import DISTANCE_PROTOCOLS

_ESTIMATE = re.compile(r"([-\d.]+) \(([-\d.]+–[-\d.]+)\)")


@dataclass(frozen=True)
class Table:
    """A table: columns of text, then columns of numbers.

    Attributes:
        header: names of the columns.
        rows: as wide as the header.
        notes: lines below: what was measured and how.
        text_columns: how many columns hold text.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    text_columns: int = 1

    def markdown(self) -> str:
        """The table in GitHub's markdown, its notes below."""
        numbers = len(self.header) - self.text_columns
        alignment = [":--"] * self.text_columns + ["--:"] * numbers
        lines = [_markdown_row(row) for row in (self.header, alignment, *self.rows)]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)]) + "\n"

    def html(self) -> str:
        """The table as an HTML fragment, its notes below."""
        head = self._html_row("th", self.header)
        body = "\n".join(self._html_row("td", row) for row in self.rows)
        notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in self.notes)
        return (
            f'<div class="wide"><table><thead>{head}</thead>\n'
            f"<tbody>{body}</tbody></table></div>\n{notes}"
        )

    def _html_row(self, tag: str, cells: Sequence[str]) -> str:
        kinds = ["text" if place < self.text_columns else "number" for place in range(len(cells))]
        return (
            "<tr>"
            + "".join(
                f'<{tag} class="{kind}">{_html_cell(cell)}</{tag}>'
                for kind, cell in zip(kinds, cells, strict=True)
            )
            + "</tr>"
        )


def accuracy_table(summaries: Mapping[str, Summary], chances: Mapping[str, Chance]) -> Table:
    """The five-radius table: a row for each data set, below it what chance is where that is known.

    Args:
        summaries: by data set; all taken in the same way.
        chances: by data set, for some or none of them.

    Raises:
        ValueError: there is no data set, or they were measured in different ways.
    """
    if not summaries:
        raise ValueError("there is no data set to make a table of")
    first = next(iter(summaries.values()))
    for name, summary in summaries.items():
        if _method(summary) != _method(first):
            raise ValueError(f"data set {name!r} was measured in another way than the first one")
    rows = []
    for name, summary in summaries.items():
        rows.append((name, *_score_cells(summary.scores)))
        if name in chances:
            rows.append(_chance_row(chances[name]))
    return Table(_header("data set", first), tuple(rows), (*_notes(first), *_chance_notes(chances)))


def continent_table(summary: Summary) -> Table:
    """The same numbers by continent of the true location."""
    rows = tuple((name, *_score_cells(scores)) for name, scores in summary.continents)
    return Table(_header("continent", summary), rows, _notes(summary))


def level_table(accuracies: Mapping[str, Sequence[float]], cells: Sequence[int]) -> Table:
    """Accuracy by level of the hierarchy, coarse to fine.

    Args:
        accuracies: shares 0..1 by data set, one a level; NaN where no photo has a cell.
        cells: number of geocells of each level.

    Raises:
        ValueError: a data set has another number of levels.
    """
    for name, shares in accuracies.items():
        if len(shares) != len(cells):
            raise ValueError(
                f"data set {name!r} has {len(shares)} levels, the hierarchy has {len(cells)}"
            )
    rows = tuple(
        (
            f"level {level}",
            str(count),
            *(_share(shares[level]) for shares in accuracies.values()),
        )
        for level, count in enumerate(cells)
    )
    note = (
        "Share of photos, in %, whose predicted geocell is the true one; photos without a geocell "
        "at a level do not count there."
    )
    return Table(("level, coarse to fine", "geocells", *accuracies), rows, (note,))


def pair_table(header: tuple[str, str], pairs: Sequence[tuple[str, str]]) -> Table:
    """Names and values."""
    return Table(header, tuple(pairs), text_columns=2)


def _method(summary: Summary) -> tuple[object, ...]:
    return (
        summary.protocol,
        summary.comparison,
        summary.radii_km,
        summary.bootstrap_samples,
        summary.seed,
    )


def _header(first: str, summary: Summary) -> tuple[str, ...]:
    radii = (f"{radius:g} km, %" for radius in summary.radii_km)
    return (first, "photos", *radii, "median km", "mean km", "GeoScore")


def _score_cells(scores: Scores) -> tuple[str, ...]:
    return (
        str(scores.count),
        *(_cell(accuracy, scale=100, digits=1) for accuracy in scores.accuracy),
        _cell(scores.median_km, digits=0 if scores.median_km.value >= 10 else 2),
        _cell(scores.mean_km, digits=0 if scores.mean_km.value >= 10 else 2),
        _cell(scores.geoscore, digits=0),
    )


def _cell(estimate: Estimate, scale: float = 1, digits: int = 1) -> str:
    value = f"{scale * estimate.value:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({scale * estimate.low:.{digits}f}–{scale * estimate.high:.{digits}f})"


def _share(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def _chance_row(chance: Chance) -> tuple[str, ...]:
    accuracies = (f"{100 * accuracy:.2f}" for accuracy in chance.accuracy)
    return ("— chance", "", *accuracies, "", f"{chance.mean_km:.0f}", f"{chance.geoscore:.0f}")


def _notes(summary: Summary) -> tuple[str, ...]:
    distance = DISTANCE_PROTOCOLS[summary.protocol].description
    method = (
        f"Distances: {distance} ({summary.protocol}); a photo counts within a radius where its "
        f"distance {summary.comparison} the radius. GeoScore: mean of 5000·exp(−km / 1492.7)."
    )
    if not summary.bootstrap_samples:
        return (method,)
    return (
        method,
        f"Ranges are 95 % intervals: percentiles of {summary.bootstrap_samples} bootstrap "
        f"samples of the photos (seed {summary.seed}).",
    )


def _chance_notes(chances: Mapping[str, Chance]) -> tuple[str, ...]:
    if not chances:
        return ()
    over = sorted({(chance.sampled, chance.train_count) for chance in chances.values()})
    counts = ", ".join(
        f"all {total}" if sampled == total else f"a random {sampled} of {total}"
        for sampled, total in over
    )
    return (
        "Chance: the expected score of answering with the location of a random training photo, "
        f"over {counts} training photos.",
    )


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _html_cell(cell: str) -> str:
    """Text of a cell; the interval of an estimate goes on a line of its own."""
    estimate = _ESTIMATE.fullmatch(cell)
    if estimate is None:
        return html.escape(cell)
    return f"{estimate[1]}<small>{estimate[2]}</small>"
