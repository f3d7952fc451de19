"""Terminal output of a run: results on stdout, descriptions and progress on stderr."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from geosurge_jax import progress as progress_bar
from geosurge_jax.evaluation import tables
from geosurge_jax.systems.contract import System
from geosurge_jax.training.loop import Report
from geosurge_jax.training.parameters import ParameterRow

T = TypeVar("T")

__all__ = [
    "CONSOLE",
    "print_results",
    "print_system",
    "print_table",
    "say",
    "track",
    "training_progress",
]

# Names of files and datasets are no markup.
CONSOLE = Console(stderr=True, markup=False)  # progress; quiet on all processes but the first
RESULTS = Console(markup=False)  # quiet likewise; stdout, where other programs read
TABLE_WIDTH = 124  # a redirected output has no width of its own


def print_system(system: System, rows: Sequence[ParameterRow], *, features: bool) -> None:
    """Prints parameters by part, trainable and frozen, and the analytic cost of an image.

    Args:
        system: the model.
        rows: its parameters.
        features: whether stored features stand in for photos, so that its towers have nothing to do.
    """
    table = Table(title=f"{system.name}: parameters")
    for heading in ("part", "trained", "frozen"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for row in rows:
        table.add_row(row.part, f"{row.trained:,}", f"{row.frozen:,}")
    CONSOLE.print(table)
    for name, value in system.description:
        CONSOLE.print(f"{name}: {value}")
    spared = sum(tower.flops[0] for tower in system.towers.values()) if features else 0
    CONSOLE.print(
        f"analytic cost of a photo: {(system.flops.forward - spared) / 1e9:.3g} GFLOP forward, "
        f"{(system.flops.training - spared) / 1e9:.3g} GFLOP in training"
    )
    if features:
        CONSOLE.print(
            f"photos are stored features: no augmentation, and {spared / 1e9:.3g} GFLOP of the frozen tower "
            "are spared"
        )


def say(text: str) -> None:
    """Prints a line of results on stdout, on the process that speaks."""
    RESULTS.print(text, soft_wrap=True, highlight=False, markup=False)


def track(items: Iterable[T], description: str) -> Iterable[T]:
    """Shows a bar over `items`, on the process that speaks."""
    return items if CONSOLE.quiet else progress_bar.track(items, description)


@contextmanager
def training_progress(
    total_steps: int,
    done: int,
    batch_size: int,
    log_every: int,
    clock: progress_bar.Clock = time.monotonic,
) -> Iterator[Report]:
    """Shows steps with images a second, time left and the newest loss; yields what is called after each.

    A terminal shows a bar. Elsewhere, under SLURM or Kubernetes for example, plain lines appear.

    Args:
        total_steps: where training ends.
        done: the step that it resumes from, 0 at the start.
        batch_size: images of a step.
        log_every: steps between plain lines.
        clock: seconds.
    """
    if done:
        _line(f"resumes at step {done:,} of {total_steps:,}")
    if not CONSOLE.is_terminal:
        yield _plain_report(total_steps, done, batch_size, log_every, clock)
        return
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps  {task.fields[rate]}  loss {task.fields[loss]}  ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=CONSOLE) as progress:
        task = progress.add_task("", total=total_steps, completed=done, rate="", loss="")

        def report(step: int, loss: float) -> None:
            speed = progress.tasks[0].speed
            rate = f"{speed * batch_size:,.0f} images/s" if speed else "compiling"
            progress.update(task, completed=step, rate=rate, loss=f"{loss:.3f}")

        yield report


def _plain_report(
    total_steps: int, done: int, batch_size: int, log_every: int, clock: progress_bar.Clock
) -> Report:
    last_step, last_time = done, clock()

    def report(step: int, loss: float) -> None:
        nonlocal last_step, last_time
        if step % log_every and step != total_steps:
            return
        now = clock()
        rate = (step - last_step) / max(now - last_time, 1e-9)
        left = progress_bar.duration((total_steps - step) / rate)
        last_step, last_time = step, now
        _line(
            f"step {step:,} of {total_steps:,}  loss {loss:.3f}  {rate * batch_size:,.0f} images/s  "
            f"{left} left"
        )

    return report


def _line(text: str) -> None:
    CONSOLE.print(text, soft_wrap=True, highlight=False, markup=False)


def print_table(shown: tables.Table) -> None:
    """Prints a table with its notes."""
    table = Table()
    for place, heading in enumerate(shown.header):
        table.add_column(heading, justify="left" if place < shown.text_columns else "right")
    for row in shown.rows:
        # An interval goes below its estimate, so that the table stays narrow.
        table.add_row(*(cell.replace(" (", "\n").removesuffix(")") for cell in row))
    if not RESULTS.quiet:
        Console(width=max(RESULTS.width, TABLE_WIDTH), markup=False).print(table)
    for note in shown.notes:
        RESULTS.print(note, style="dim")


def print_results(results: tables.Table, directory: Path, page: Path) -> None:
    """Prints the five-radius table and where everything lies."""
    print_table(results)
    for what, where in (
        ("report", page),
        ("report as text", directory / "report.md"),
        ("scores", directory / "scores.json"),
        ("metrics", directory / "metrics.jsonl"),
        ("TensorBoard", directory / "tensorboard"),
        ("checkpoints", directory / "checkpoints"),
        ("geocells", directory / "geocells.npz"),
    ):
        say(f"{what + ':':16s}{where}")
