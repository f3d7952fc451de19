"""Progress of long work on the terminal: how far, how fast, how long still."""

import operator
from collections.abc import Generator, Iterable
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
    """Yield `items` while a bar with rate and time left is shown on the standard error.

    Args:
        items: Anything iterable.
        description: What is being done, a few words.
        total: Number of items; None = the length of `items`, or no end shown where it has none.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, markup=False)) as progress:
        task = progress.add_task(description, total=total or operator.length_hint(items) or None)
        for item in items:
            yield item
            progress.advance(task)
