"""Who does the work: this process, processes of this machine, or Apache Beam's workers.

A piece of work leaves files behind and gives nothing back, and one that is done already returns at once;
so it does not matter who does it, nor whether it is done twice.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from geosurge_jax.progress import track

T = TypeVar("T")

_LOOK_FOR_PARENT_SECONDS = 1.0


class Runner(Protocol):
    """Does pieces of work in any order."""

    def __call__(self, work: Callable[[T], None], pieces: Sequence[T], description: str) -> None:
        """Returns when all pieces are done; raises what a piece raised."""
        ...


def on_this_machine(workers: int) -> Runner:
    """A runner of so many processes; with 1 this one does the work.

    Raises:
        ValueError: Fewer than 1.
    """
    if workers < 1:
        raise ValueError(f"{workers} workers, expected 1 or more (--workers)")

    start = map if workers == 1 else _Processes(workers)

    def run(work: Callable[[T], None], pieces: Sequence[T], description: str) -> None:
        done = start(work, pieces)
        for _ in track(done, description, len(pieces)):
            pass

    return run


def on_beam(flags: Sequence[str]) -> Runner:
    """A runner that hands the pieces to Apache Beam.

    Args:
        flags: Of Beam's runners, as `--runner=DirectRunner` or `--runner=FlinkRunner`. All workers have
            to see the source and the output directory under the same paths.

    Raises:
        ValueError: Apache Beam is not installed.
    """
    try:
        import apache_beam  # pyright: ignore[reportMissingImports]
        from apache_beam.options.pipeline_options import (  # pyright: ignore[reportMissingImports]
            PipelineOptions,
        )
    except ImportError:
        raise ValueError(
            "--beam: apache-beam is not installed; expected `pip install -r requirements-beam.txt`"
        ) from None

    def run(work: Callable[[T], None], pieces: Sequence[T], description: str) -> None:
        beam: Any = apache_beam
        with beam.Pipeline(options=PipelineOptions(list(flags))) as pipeline:
            listed = pipeline | description >> beam.Create(list(pieces))
            _ = listed | "spread" >> beam.Reshuffle() | "work" >> beam.Map(work)

    return run


class _Processes:
    """Processes that stay for the next call, as each takes a second to start; they end with this object."""

    def __init__(self, workers: int):
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __call__(self, work: Callable[[T], None], pieces: Sequence[T]) -> Iterator[None]:
        """Gives something back for each piece that is done."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self._workers, context, initializer=_end_with, initargs=(os.getpid(),)
            )
        pool = self._pool
        try:
            for future in as_completed([pool.submit(work, piece) for piece in pieces]):
                yield future.result()
        except BaseException as error:
            self._pool = None
            pool.shutdown(cancel_futures=True)
            if not isinstance(error, BrokenProcessPool):
                raise
            raise ValueError(
                "a worker process was killed (for want of memory?); the same command goes on from there, "
                "with fewer --workers if it happens again"
            ) from None


def _end_with(parent: int) -> None:
    """Lets this process end soon after its parent, which may be killed without a word."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_FOR_PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
