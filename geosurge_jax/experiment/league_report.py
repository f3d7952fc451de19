"""What a league found: `league.json` for programs, report.md and report.html for people."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geosurge_jax.evaluation.page import Section, write_page
from geosurge_jax.evaluation.tables import Table, pair_table
from geosurge_jax.experiment import league_tables as tables
from geosurge_jax.experiment import terminal
from geosurge_jax.experiment.league_config import League
from geosurge_jax.experiment.league_runs import Failed, Finished, Run
from geosurge_jax.experiment.league_statistics import Outcome, judge, summarize_entries
from geosurge_jax.experiment.workdir import write_json

Runs = Mapping[tuple[str, int], Run]


def write(root: Path, league: League, runs: Runs) -> None:
    """Writes all three files from the runs that there are so far.

    Raises:
        OSError: a file cannot be written.
    """
    done = finished(runs)
    write_json(root / "league.json", _record(league, runs, done))
    write_page(root, league.name, _sections(league, runs, done))


def print_table(league: League, runs: Runs, root: Path) -> None:
    """Prints the main table of each data set, or that of the ladders of a league without members."""
    done = finished(runs)
    for data_set in data_sets(done):
        table = tables.accuracy(league.members or tuple(league.experiments), done, data_set)
        terminal.print_table(table)
    terminal.say(f"report: {root / 'report.html'}")


def finished(runs: Runs) -> list[Finished]:
    """Those with results."""
    return [run for run in runs.values() if isinstance(run, Finished)]


def data_sets(runs: Sequence[Finished]) -> list[str]:
    """Data sets that every finished run was scored on, in the order of the first."""
    if not runs:
        return []
    return [name for name in runs[0].scores if all(name in run.scores for run in runs)]


def _outcomes(league: League, runs: Sequence[Finished], data_set: str) -> dict[str, list[Outcome]]:
    return {
        name: [
            outcome
            for direction in ladder.directions
            for outcome in judge(direction, runs, data_set)
        ]
        for name, ladder in league.ladders.items()
    }


def _sections(league: League, runs: Runs, done: Sequence[Finished]) -> list[Section]:
    sections = []
    for data_set in data_sets(done):
        members = [name for name in league.members if any(run.name == name for run in done)]
        if members:
            sections += [
                Section(f"{data_set}: accuracy", (tables.accuracy(members, done, data_set),)),
                Section(f"{data_set}: posteriors", (tables.calibration(members, done, data_set),)),
                Section(
                    f"{data_set}: what each decision adds",
                    (tables.decisions(members, done, data_set),),
                ),
            ]
        outcomes = _outcomes(league, done, data_set)
        for name, ladder in league.ladders.items():
            parts: list[Table] = [tables.ladder(ladder, done, data_set)]
            if ladder.directions:
                parts.append(tables.directions(outcomes[name]))
            sections.append(Section(f"{data_set}: ladder {name}", tuple(parts)))
    if done:
        sections.append(Section("Cost", (tables.cost(tuple(league.experiments), done),)))
    failed = [run for run in runs.values() if isinstance(run, Failed)]
    if failed:
        sections.append(Section("Failed runs", (tables.failures(failed),)))
    asked = league.runs()
    rows = [(name, str(value)) for name, value in dataclasses.asdict(league.budget).items()]
    rows += [
        ("seeds of the members", str(league.seeds)),
        ("seeds of the ladders", str(league.ladder_seeds)),
        ("runs", f"{len(asked)}, of which {len(done)} finished and {len(failed)} failed"),
    ]
    return [*sections, Section("Shared by all", (pair_table(("budget", "value"), rows),))]


def _record(league: League, runs: Runs, done: Sequence[Finished]) -> dict[str, Any]:
    return {
        "name": league.name,
        "budget": dataclasses.asdict(league.budget),
        "runs": [
            _run(run) if run else {"experiment": name, "seed": seed, "status": "waiting"}
            for name, seed in league.runs()
            for run in [runs.get((name, seed))]
        ],
        "results": {
            data_set: {
                name: {
                    metric: dataclasses.asdict(value)
                    for metric, value in summarize_entries(entries).items()
                }
                for name in league.experiments
                if (entries := tables.entries_of(name, done, data_set))
            }
            for data_set in data_sets(done)
        },
        "directions": {
            data_set: {
                name: [_outcome(outcome) for outcome in outcomes]
                for name, outcomes in _outcomes(league, done, data_set).items()
            }
            for data_set in data_sets(done)
        },
    }


def _run(run: Run) -> dict[str, Any]:
    noted = {"experiment": run.name, "seed": run.seed}
    if isinstance(run, Failed):
        return {**noted, "status": "failed", "error": run.error}
    place = os.path.join("runs", run.name, f"seed-{run.seed}")
    facts = dataclasses.asdict(run.facts)
    return {**noted, "status": "finished", "directory": place, "facts": facts}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "better": outcome.direction.better,
        "worse": outcome.direction.worse,
        "source": outcome.direction.source,
        "radius_km": outcome.radius_km,
        "difference": None if math.isnan(outcome.difference) else outcome.difference,
        "margin": None if math.isinf(outcome.margin) else outcome.margin,
        "seeds": outcome.seeds,
        "verdict": outcome.verdict,
    }
