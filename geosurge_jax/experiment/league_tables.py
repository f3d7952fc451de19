"""The tables of a league: one row an experiment, over its seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from geosurge_jax.evaluation.tables import Table
from geosurge_jax.experiment.league_config import Ladder
from geosurge_jax.experiment.league_runs import Facts, Failed, Finished
from geosurge_jax.experiment.league_statistics import (
    Outcome,
    OverSeeds,
    metrics,
    summarize_entries,
)

SEEDS_NOTE = (
    "Means over the seeds, ± the standard deviation over them; in brackets the 95 % bootstrap interval "
    "over photos, its ends averaged over the seeds."
)
KILOMETRES = (("median_km", "median km"), ("mean_km", "mean km"))


def entries_of(name: str, runs: Sequence[Finished], data_set: str) -> list[Mapping[str, Any]]:
    """An experiment's entries of `scores.json`, one a seed."""
    return [run.scores[data_set] for run in runs if run.name == name]


def cell(value: OverSeeds, scale: float = 1, digits: int = 1, interval: bool = True) -> str:
    """A number over the seeds."""
    shown = f"{scale * value.mean:.{digits}f}"
    if value.spread is not None:
        shown += f" ± {scale * value.spread:.{digits}f}"
    if interval and value.low is not None and value.high is not None:
        shown += f" ({scale * value.low:.{digits}f}–{scale * value.high:.{digits}f})"
    return shown


def accuracy(names: Sequence[str], runs: Sequence[Finished], data_set: str) -> Table:
    """Accuracy at the radii, distances and GeoScore, with what stands beside every table as its floor."""
    rows = [
        (name, str(len(entries)), *_score_cells(summarize_entries(entries)))
        for name in names
        if (entries := entries_of(name, runs, data_set))
    ]
    first = runs[0].scores[data_set]
    if first["chance"] is not None:
        rows.append(("— chance", "", *_chance_cells(first["chance"])))
    for floor, scored in first["floors"].items():
        entry = scored["decisions"][first["decision"]]
        rows.append((f"— {floor}", "", *_score_cells(summarize_entries([entry]))))
    return Table(("system", "seeds", *_score_header(first)), tuple(rows), _notes(first))


def calibration(names: Sequence[str], runs: Sequence[Finished], data_set: str) -> Table:
    """Log-likelihood, calibration and credible areas."""
    rows = [
        (name, *_calibration_cells(summarize_entries(entries)))
        for name in names
        if (entries := entries_of(name, runs, data_set))
    ]
    first = runs[0].scores[data_set]
    for floor, scored in first["floors"].items():
        if scored["calibration"] is not None:
            entry = {
                **scored["decisions"][first["decision"]],
                "calibration": scored["calibration"],
            }
            rows.append((f"— {floor}", *_calibration_cells(summarize_entries([entry]))))
    header = (
        "system", "log-likelihood, nats", "top cell right, %", "ECE, %", "coverage of 50 %, %",
        "coverage of 90 %, %", "50 % area, km²", "90 % area, km²",
    )  # fmt: skip
    note = (
        "On cells of equal area, against the uniform density, whose log-likelihood is 0; "
        "docs/architecture.md says how each is taken."
    )
    return Table(header, tuple(rows), (SEEDS_NOTE, note))


def decisions(names: Sequence[str], runs: Sequence[Finished], data_set: str) -> Table:
    """What each decision changes against the first one, on the same posteriors."""
    rows = []
    for name in names:
        entries = entries_of(name, runs, data_set)
        for decision in entries[0]["decisions"] if entries else ():
            changes = [_changes(entry, decision) for entry in entries]
            if decision != entries[0]["decision"]:
                rows.append((name, decision, *_change_cells(changes)))
    first = runs[0].scores[data_set]
    notes = (
        f"Points gained, km and GeoScore changed against the decision {first['decision']!r}: means over the "
        "seeds, ± the standard deviation over them.",
    )
    header = ("system", "decision", *_score_header(first))
    return Table(header, tuple(rows), notes, text_columns=2)


def ladder(steps: Ladder, runs: Sequence[Finished], data_set: str) -> Table:
    """The steps of a ladder in order."""
    rows = []
    for name in steps.steps:
        entries = entries_of(name, runs, data_set)
        if entries:
            found = summarize_entries(entries)
            likelihood = cell(found["log_likelihood"], digits=2, interval=False)
            rows.append((name, str(len(entries)), *_score_cells(found, interval=False), likelihood))
    header = ("step", "seeds", *_score_header(runs[0].scores[data_set]), "log-likelihood, nats")
    return Table(
        header, tuple(rows), ("Means over the seeds, ± the standard deviation over them.",)
    )


def directions(outcomes: Sequence[Outcome]) -> Table:
    """Published directions and whether they hold here."""
    rows = [
        (
            f"{outcome.direction.better} > {outcome.direction.worse}",
            outcome.direction.source,
            outcome.verdict,
            f"{outcome.radius_km:g} km",
            _points(outcome),
            str(outcome.seeds),
        )
        for outcome in outcomes
    ]
    note = (
        "Difference in points of accuracy, of runs of the same seed; a direction is decided where the "
        "difference is larger than half its 95 % interval over the seeds (Student)."
    )
    header = ("published", "source", "here", "radius", "difference", "seeds")
    return Table(header, tuple(rows), (note,), text_columns=3)


def cost(names: Sequence[str], runs: Sequence[Finished]) -> Table:
    """Parameters, analytic cost and measured rates."""
    rows = []
    for name in names:
        facts = [run.facts for run in runs if run.name == name]
        if facts:
            rows.append((name, *_cost_cells(facts)))
    header = (
        "system", "trained parameters", "frozen", "GFLOP a photo", "in training",
        "images/s, training", "images/s, posterior",
    )  # fmt: skip
    note = (
        "GFLOP: analytic, matrix products alone. Rates: median over the run's own log, reading included, and "
        "over timed calls on one batch of the device; means over the seeds."
    )
    return Table(header, tuple(rows), (note,))


def failures(failed: Sequence[Failed]) -> Table:
    """Runs that ended in an error; the traceback lies in their directory."""
    rows = tuple((run.name, str(run.seed), run.error) for run in failed)
    return Table(("experiment", "seed", "error"), rows, text_columns=3)


def _score_header(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        *(f"{radius:g} km, %" for radius in entry["radii_km"]),
        "median km",
        "mean km",
        "GeoScore",
    )


def _score_cells(found: Mapping[str, OverSeeds], interval: bool = True) -> tuple[str, ...]:
    return (
        *(
            cell(value, scale=100, interval=interval)
            for name, value in found.items()
            if name.startswith("accuracy/")
        ),
        *(cell(found[name], digits=0, interval=interval) for name, _ in KILOMETRES),
        cell(found["geoscore"], digits=0, interval=interval),
    )


def _chance_cells(chance: Mapping[str, Any]) -> tuple[str, ...]:
    shares = (f"{100 * share:.2f}" for share in chance["accuracy"])
    return (*shares, "", f"{chance['mean_km']:.0f}", f"{chance['geoscore']:.0f}")


def _calibration_cells(found: Mapping[str, OverSeeds]) -> tuple[str, ...]:
    return (
        cell(found["log_likelihood"], digits=2),
        *(
            cell(found[name], scale=100)
            for name in ("top_hit", "calibration_error", "coverage_50", "coverage_90")
        ),
        *(f"{found[name].mean:,.0f}" for name in ("area_50_km2", "area_90_km2")),
    )


def _changes(entry: Mapping[str, Any], decision: str) -> dict[str, float]:
    """Every number under a decision minus that under the first."""
    first = metrics(entry["decisions"][entry["decision"]])
    under = metrics(entry["decisions"][decision])
    return {name: under[name]["value"] - first[name]["value"] for name in first}


def _change_cells(changes: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    cells = []
    for name in changes[0]:
        scale, digits = (100, 1) if name.startswith("accuracy/") else (1, 0)
        values = [scale * change[name] for change in changes]
        shown = f"{np.mean(values):+.{digits}f}"
        if len(values) > 1:
            shown += f" ± {np.std(values, ddof=1):.{digits}f}"
        cells.append(shown)
    return tuple(cells)


def _points(outcome: Outcome) -> str:
    if math.isnan(outcome.difference):
        return "–"
    margin = "" if math.isinf(outcome.margin) else f" ± {100 * outcome.margin:.1f}"
    return f"{100 * outcome.difference:+.1f}{margin}"


def _cost_cells(facts: Sequence[Facts]) -> tuple[str, ...]:
    one = facts[0]
    training = float(np.mean([each.training_photos_per_second for each in facts]))
    posterior = float(np.mean([each.posterior_photos_per_second for each in facts]))
    return (
        f"{one.trained:,}",
        f"{one.frozen:,}",
        f"{one.forward_flops / 1e9:.3g}",
        f"{one.training_flops / 1e9:.3g}",
        f"{training:,.0f}",
        f"{posterior:,.0f}",
    )


def _notes(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        SEEDS_NOTE,
        f"{entry['scores']['count']} photos; answers by the decision {entry['decision']!r}; distances by "
        f"{entry['protocol']}, {entry['comparison']} the radius. Floors answer without looking at the photo.",
    )
