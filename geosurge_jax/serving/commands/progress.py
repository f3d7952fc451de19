"""Progress on stderr: a bar on a terminal, a plain line every ten seconds elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from geosurge_jax.progress import Advance, Clock, lines


@contextmanager
def progress(total: int, done: int = 0, clock: Clock = time.monotonic) -> Iterator[Advance]:
    """Shows progress over images; yields what is called after each.

    Args:
        total: number of images.
        done: how many of them were done earlier.
        clock: seconds.
    """
    if sys.stderr.isatty():
        shown = _bar(total, done)
    else:
        shown = lines(total, what=" images", done=done, clock=clock)
    with shown as advance:
        yield advance


@contextmanager
def _bar(total: int, done: int) -> Iterator[Advance]:
    columns = (
        TextColumn("images"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        # Results that go to the same terminal appear above the bar; a pipe or file gets them directly.
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task("", total=total, completed=done, rate="")

        def advance() -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=1, rate=f"{speed:.1f}/s" if speed else "")

        yield advance
