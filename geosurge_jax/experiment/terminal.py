"""Terminal output of a run: results on stdout, descriptions and progress on stderr."""

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

CONSOLE = Console(stderr=True)  # progress and descriptions; quiet on all processes but the first
RESULTS = Console()  # quiet likewise; stdout, where other programs read
TABLE_WIDTH = 124  # a redirected output has no width of its own


def print_system(system: System, rows: Sequence[ParameterRow], *, features: bool) -> None:
    """Prints parameters by part, trained and frozen, and the analytic cost of a photo.

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
def training_progress(total_steps: int, done: int, batch_size: int) -> Iterator[Report]:
    """Shows a bar over steps with photos a second, time left and the newest loss."""
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
            rate = f"{speed * batch_size:,.0f} photos/s" if speed else "compiling"
            progress.update(task, completed=step, rate=rate, loss=f"{loss:.3f}")

        yield report


def print_table(shown: tables.Table) -> None:
    """Prints a table with its notes."""
    table = Table()
    for place, heading in enumerate(shown.header):
        table.add_column(heading, justify="left" if place < shown.text_columns else "right")
    for row in shown.rows:
        # An interval goes below its estimate, so that the table stays narrow.
        table.add_row(*(cell.replace(" (", "\n").removesuffix(")") for cell in row))
    if not RESULTS.quiet:
        Console(width=max(RESULTS.width, TABLE_WIDTH)).print(table)
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
