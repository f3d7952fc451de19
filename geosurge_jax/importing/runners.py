"""Runners: this process, processes of this machine, or Apache Beam's workers do pieces of work.

A piece of work writes files and returns nothing. One that is done already returns at once, so any worker may
do it, and doing it twice does no harm.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from geosurge_jax.progress import track
from geosurge_jax.worker_processes import WorkerProcesses

T = TypeVar("T")


class Runner(Protocol):
    """Does pieces of work in any order."""

    def __call__(self, work: Callable[[T], None], pieces: Sequence[T], description: str) -> None:
        """Returns when all pieces are done; raises what a piece raised."""
        ...


class LocalRunner:
    """Does pieces of work in processes of this machine, which stay for the next call.

    Each process takes a second to start. Used as a context, the processes end with it.
    """

    def __init__(self, workers: int):
        """Prepares `workers` processes; with 1, this process does the work."""
        self._workers = workers
        self._pool: WorkerProcesses | None = None

    def __call__(self, work: Callable[[T], None], pieces: Sequence[T], description: str) -> None:
        """See `Runner`."""
        done = map(work, pieces) if self._workers == 1 else self._in_processes(work, pieces)
        for _ in track(done, description, len(pieces)):
            pass

    def __enter__(self) -> "LocalRunner":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()

    def _in_processes(self, work: Callable[[T], None], pieces: Sequence[T]) -> Iterator[None]:
        """Yields once for each piece that is done."""
        if self._pool is None:
            self._pool = WorkerProcesses(self._workers)
        pool = self._pool
        try:
            for future in as_completed([pool.submit(work, piece) for piece in pieces]):
                yield future.result()
        except BaseException as error:
            self._pool = None
            if isinstance(error, KeyboardInterrupt):
                pool.terminate()
            else:
                pool.close()
            if not isinstance(error, BrokenProcessPool):
                raise
            raise ValueError(
                "a worker process was killed, perhaps because memory ran out; the same command continues "
                "from there, with fewer --workers if it happens again"
            ) from None


def on_this_machine(workers: int) -> LocalRunner:
    """Return a runner of `workers` processes.

    Raises:
        ValueError: Fewer than 1.
    """
    if workers < 1:
        raise ValueError(f"{workers} workers, expected 1 or more (--workers)")
    return LocalRunner(workers)


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
