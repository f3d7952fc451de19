"""Tables of a report: rows of text that come out as markdown or HTML."""

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geosurge_jax.evaluation.calibration import EARTH_AREA_KM2, CalibrationSummary
from geosurge_jax.evaluation.chance import Chance
from geosurge_jax.evaluation.metrics import Estimate, Scores, Summary
from geosurge_jax.evaluation.results import Results, Scored
from geosurge_jax.geo import DISTANCE_PROTOCOLS
from geosurge_jax.untrusted_text import printable

_ESTIMATE = re.compile(r"([-\d.]+(?: ± [\d.]+)?) \(([-\d.]+–[-\d.]+)\)")


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


def accuracy_table(results: Mapping[str, Results]) -> Table:
    """The five-radius table: a row for each data set under the first decision, its floors below it.

    Args:
        results: by data set; all taken in the same way.

    Raises:
        ValueError: there is no data set, or they were measured in different ways.
    """
    if not results:
        raise ValueError("there is no data set to make a table of")
    first = next(iter(results.values())).system.summary
    rows = []
    for name, each in results.items():
        if _method(each.system.summary) != _method(first):
            raise ValueError(f"data set {name!r} was measured in another way than the first one")
        rows.append((name, *score_cells(each.system.summary.scores)))
        if each.chance is not None:
            rows.append(_chance_row(each.chance))
        for floor, scored in each.floors.items():
            rows.append((f"— {floor}", *score_cells(scored.summary.scores)))
    notes = (*method_notes(first), *_decision_notes(results), *floor_notes(results))
    return Table(radius_header("data set", first), tuple(rows), notes)


def decision_table(results: Results) -> Table:
    """What each decision makes of the same posterior; below each, the best answer without a photo."""
    rows = []
    for decision, summary in results.system.answers.items():
        rows.append((decision, *score_cells(summary.scores)))
        for floor, scored in results.floors.items():
            if len(scored.answers) > 1:
                rows.append((f"— {floor}", *score_cells(scored.answers[decision].scores)))
    first = results.system.summary
    return Table(radius_header("decision", first), tuple(rows), method_notes(first))


def calibration_table(results: Mapping[str, Results]) -> Table:
    """Log-likelihood, calibration and credible areas of each data set's posterior and of its floors.

    Raises:
        ValueError: no data set has a calibration.
    """
    rows = []
    calibration = None
    for name, each in results.items():
        for title, scored in ((name, each.system), *_titled(each.floors)):
            if scored.calibration is not None:
                calibration = scored.calibration
                rows.append((title, str(calibration.count), *calibration_cells(calibration)))
    if calibration is None:
        raise ValueError("there is no calibration to make a table of")
    return Table(
        ("data set", "photos", *CALIBRATION_HEADER), tuple(rows), calibration_notes(calibration)
    )


CALIBRATION_HEADER = (
    "log-likelihood, nats",
    "top cell right, %",
    "ECE, %",
    "coverage of 50 %, %",
    "coverage of 90 %, %",
    "50 % area, km²",
    "90 % area, km²",
)


def calibration_cells(calibration: CalibrationSummary) -> tuple[str, ...]:
    """The numbers of a calibration below `CALIBRATION_HEADER`."""
    return (
        estimate_cell(calibration.log_likelihood, digits=2),
        _share(calibration.top_hit),
        _share(calibration.calibration_error),
        _share(calibration.coverage_50),
        _share(calibration.coverage_90),
        f"{calibration.area_50_km2:,.0f}",
        f"{calibration.area_90_km2:,.0f}",
    )


def calibration_notes(calibration: CalibrationSummary) -> tuple[str, ...]:
    """What the numbers of a calibration mean."""
    cells = calibration.rows * calibration.columns
    return (
        f"Posteriors of all kinds are put on {cells:,} cells of {EARTH_AREA_KM2 / cells:,.0f} km² each. "
        f"Log-likelihood: of the cell of the truth, above the uniform density, with "
        f"{100 * calibration.floor:g} % of the uniform mixed in; the uniform posterior has 0.",
        "ECE: calibration error of the likeliest cell over 15 bins of equally many photos; above zero by "
        "chance where photos are few. Coverage: share of photos whose truth lies in the smallest area of "
        "50 or 90 % of the mass; areas are medians over photos.",
    )


def _titled(floors: Mapping[str, Scored]) -> list[tuple[str, Scored]]:
    return [(f"— {name}", scored) for name, scored in floors.items()]


def continent_table(summary: Summary) -> Table:
    """The same numbers by continent of the true location."""
    rows = tuple((name, *score_cells(scores)) for name, scores in summary.continents)
    return Table(radius_header("continent", summary), rows, method_notes(summary))


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


def radius_header(first: str, summary: Summary) -> tuple[str, ...]:
    """Names of the columns of a five-radius table."""
    radii = (f"{radius:g} km, %" for radius in summary.radii_km)
    return (first, "photos", *radii, "median km", "mean km", "GeoScore")


def score_cells(scores: Scores) -> tuple[str, ...]:
    """The numbers of a set of photos below `radius_header`."""
    return (
        str(scores.count),
        *(estimate_cell(accuracy, scale=100, digits=1) for accuracy in scores.accuracy),
        estimate_cell(scores.median_km, digits=0 if scores.median_km.value >= 10 else 2),
        estimate_cell(scores.mean_km, digits=0 if scores.mean_km.value >= 10 else 2),
        estimate_cell(scores.geoscore, digits=0),
    )


def estimate_cell(estimate: Estimate, scale: float = 1, digits: int = 1) -> str:
    """A number, with its interval in brackets where it has one."""
    value = f"{scale * estimate.value:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({scale * estimate.low:.{digits}f}–{scale * estimate.high:.{digits}f})"


def _share(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def _chance_row(chance: Chance) -> tuple[str, ...]:
    accuracies = (f"{100 * accuracy:.2f}" for accuracy in chance.accuracy)
    return ("— chance", "", *accuracies, "", f"{chance.mean_km:.0f}", f"{chance.geoscore:.0f}")


def method_notes(summary: Summary) -> tuple[str, ...]:
    """How the numbers of a table were taken."""
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


def _decision_notes(results: Mapping[str, Results]) -> tuple[str, ...]:
    decisions = {next(iter(each.system.answers)) for each in results.values()}
    return (f"Answers by the decision {', '.join(sorted(decisions))}.",)


def floor_notes(results: Mapping[str, Results]) -> tuple[str, ...]:
    """What the floors of a table are."""
    chances = [each.chance for each in results.values() if each.chance is not None]
    notes = []
    if chances:
        over = sorted({(chance.sampled, chance.train_count) for chance in chances})
        counts = ", ".join(
            f"all {total}" if sampled == total else f"a random {sampled} of {total}"
            for sampled, total in over
        )
        notes.append(
            "Chance: the expected score of answering with the location of a random training photo, "
            f"over {counts} training photos."
        )
    if any(each.floors for each in results.values()):
        notes.append(
            "Random: a point of the sphere for each photo. Training density: the one place that is best "
            "without a photo, given how many training photos each of the finest geocells holds."
        )
    return tuple(notes)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_markdown_cell(cell) for cell in cells) + " |"


def _markdown_cell(cell: str) -> str:
    """Text of a cell, in which names of files and authors can hold no markup of their own."""
    return printable(cell).replace("|", "\\|").replace("<", "&lt;")


def _html_cell(cell: str) -> str:
    """Text of a cell; the interval of an estimate goes on a line of its own."""
    estimate = _ESTIMATE.fullmatch(cell)
    if estimate is None:
        return html.escape(printable(cell))
    return f"{estimate[1]}<small>{estimate[2]}</small>"
