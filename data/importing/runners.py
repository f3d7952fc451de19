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

from data.progress import track

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

    def run(work: Callable[[T], None], pieces: Sequence[T], description: str) -> None:
        done = map(work, pieces) if workers == 1 else _in_processes(work, pieces, workers)
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


def _in_processes(work: Callable[[T], None], pieces: Sequence[T], workers: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(workers, len(pieces)), context, initializer=_end_with, initargs=(os.getpid(),)
    )
    try:
        for future in as_completed([pool.submit(work, piece) for piece in pieces]):
            yield future.result()
    except BrokenProcessPool:
        raise ValueError(
            "a worker process was killed (for want of memory?); the same command goes on from there, "
            "with fewer --workers if it happens again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with(parent: int) -> None:
    """Lets this process end soon after its parent, which may be killed without a word."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_FOR_PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
