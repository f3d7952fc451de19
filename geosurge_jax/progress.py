"""Progress of long work on stderr: a bar on a terminal, plain lines in a log."""

import operator
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")
Advance = Callable[[], None]
Clock = Callable[[], float]

SECONDS_BETWEEN_LINES = 10.0


class _RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("-/s")
        return Text(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s")


def track(
    items: Iterable[T], description: str, total: int | None = None
) -> Generator[T, None, None]:
    """Yield `items` while their number, rate and time left are shown.

    Args:
        items: Anything iterable.
        description: What is being done, a few words.
        total: Number of items; None takes the length of `items`, where it has one.
    """
    total = total or operator.length_hint(items) or None
    shown = _bar(description, total) if sys.stderr.isatty() else lines(total, f"{description}: ")
    with shown as advance:
        for item in items:
            yield item
            advance()


@contextmanager
def _bar(description: str, total: int | None) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, markup=False)) as progress:
        task = progress.add_task(description, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def lines(
    total: int | None,
    before: str = "",
    what: str = "",
    done: int = 0,
    clock: Clock = time.monotonic,
) -> Iterator[Advance]:
    """Prints a plain line every ten seconds; yields what is called after each item.

    Args:
        total: number of items; None where it is not known.
        before: text before the numbers.
        what: text after the number of items, with a space before it.
        done: items that were done earlier.
        clock: seconds.
    """
    start = last = clock()
    finished = done

    def advance() -> None:
        nonlocal last, finished
        finished += 1
        now = clock()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            rate = (finished - done) / (now - start)
            of = "" if total is None else f" of {total:,}"
            left = "" if total is None else f", {duration((total - finished) / rate)} left"
            line = f"{before}{finished:,}{of}{what}, {rate:,.1f}/s{left}"
            print(line, file=sys.stderr, flush=True)

    yield advance


def duration(seconds: float) -> str:
    """Return a duration in the unit that people would use, `12 min`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
