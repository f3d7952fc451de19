"""Work on items in threads, in order, with a bounded number of results held."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_CHUNK = 512


def in_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Map in order on threads, with a bounded number of results held."""
    remaining = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        while chunk := list(islice(remaining, _CHUNK)):
            yield from pool.map(function, chunk)


def batches_ahead(
    prepare: Callable[[T], R], items: Iterator[T], size: int, pool: ThreadPoolExecutor
) -> Iterator[list[R]]:
    """Prepared items in batches of at most `size`, each handed out while the next one is prepared."""
    ready: list[Future[R]] = []
    while ahead := [pool.submit(prepare, item) for item in islice(items, size)]:
        if ready:
            yield [future.result() for future in ready]
        ready = ahead
    if ready:
        yield [future.result() for future in ready]
