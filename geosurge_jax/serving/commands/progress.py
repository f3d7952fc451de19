"""Progress on stderr: a bar on a terminal, a plain line every ten seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10.0

Advance = Callable[[], None]


@contextmanager
def progress(
    total: int, done: int = 0, clock: Callable[[], float] = time.monotonic
) -> Iterator[Advance]:
    """Shows progress over images; yields what is called after each.

    Args:
        total: number of images.
        done: how many of them were done earlier.
        clock: seconds.
    """
    shown = _bar(total, done) if sys.stderr.isatty() else _lines(total, done, clock)
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


@contextmanager
def _lines(total: int, done: int, clock: Callable[[], float]) -> Iterator[Advance]:
    start = last = clock()
    finished = done

    def advance() -> None:
        nonlocal last, finished
        finished += 1
        now = clock()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            rate = (finished - done) / (now - start)
            left = (total - finished) / rate
            line = f"{finished:,} of {total:,} images, {rate:.1f}/s, {_duration(left)} left"
            print(line, file=sys.stderr, flush=True)

    yield advance


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
