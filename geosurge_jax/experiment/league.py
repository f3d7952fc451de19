"""A league: every experiment by every seed in one process, each an ordinary run, then one report of all.

    python run.py --config=configs/league.py --workdir=workdir/league

A run lives in `WORKDIR/runs/EXPERIMENT/seed-N` with its own checkpoints, scores and report. One that has
finished is not run again, one that was ended goes on where it stood, and one that fails is noted with its
message while the others go on.
"""

import gc
import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from geosurge_jax.command_end import NegativeAnswer, raised_by_us
from geosurge_jax.experiment import league_report, terminal, train
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.league_config import League, parse_league
from geosurge_jax.experiment.league_runs import (
    Failed,
    Run,
    measure,
    read_finished,
    record_finished,
)
from geosurge_jax.experiment.paths import check_writable
from geosurge_jax.experiment.workdir import (
    Workdir,
    locked,
    write_text,
)
from geosurge_jax.training.stopping import StoppedError, stop_requests

LOG = logging.getLogger("geosurge_jax.league")

FAILURE = "failure.txt"  # the traceback, in the directory of a run that failed


def run(raw: Mapping[str, Any], root: Path) -> None:
    """Runs what is not finished yet and writes `league.json`, `report.md` and `report.html`.

    Args:
        raw: the config file's mapping.
        root: the workdir.

    Raises:
        ValueError: the config or the workdir is wrong; nothing was run.
        NegativeAnswer: a run failed; the report holds the others.
        StoppedError: the league was asked to stop; the same command goes on from there.
    """
    league = parse_league(raw)
    if jax.process_count() > 1:
        raise ConfigError(
            f"--processes={jax.process_count()}: a league is one process; its runs are small"
        )
    root = root.resolve()
    check_writable(root)
    runs: dict[tuple[str, int], Run] = {}
    with locked(Workdir(root)), stop_requests():
        for number, (name, seed) in enumerate(league.runs(), start=1):
            terminal.CONSOLE.rule(f"{name}, seed {seed}: run {number} of {len(league.runs())}")
            runs[name, seed] = run_one(league, name, seed, run_directory(root, name, seed))
            league_report.write(root, league, runs)
    league_report.print_table(league, runs, root)
    failed = [each for each in runs.values() if isinstance(each, Failed)]
    if failed:
        named = "; ".join(f"{each.name}, seed {each.seed}: {each.error}" for each in failed)
        raise NegativeAnswer(f"{len(failed)} of {len(runs)} runs failed: {named}")


def run_directory(root: Path, name: str, seed: int) -> Path:
    """Where a run lives."""
    return root / "runs" / name / f"seed-{seed}"


def run_one(league: League, name: str, seed: int, directory: Path) -> Run:
    """Runs an experiment with a seed unless it has finished before.

    Raises:
        StoppedError: the league was asked to stop.
    """
    raw = {**league.experiments[name], "seed": seed}
    done = read_finished(name, seed, directory, raw)
    if done is not None:
        return done
    try:
        train.run(raw, directory)
        record_finished(directory, raw, measure(raw, directory))
    except StoppedError:
        raise
    except Exception as error:  # one bad run is no reason to lose the others; the report names it
        LOG.warning("%s, seed %d failed: %s", name, seed, one_line(error))
        write_text(directory / FAILURE, traceback.format_exc())
        return Failed(name, seed, one_line(error))
    finally:
        # Programs and parameters of one run are of no use to the next.
        jax.clear_caches()
        gc.collect()
    (directory / FAILURE).unlink(missing_ok=True)
    done = read_finished(name, seed, directory, raw)
    assert done is not None, directory
    return done


def one_line(error: Exception) -> str:
    """What a person needs to read of an error: our own messages as they are, others with their type."""
    message = " ".join(str(error).split())
    return message if raised_by_us(error) and message else f"{type(error).__name__}: {message}"
