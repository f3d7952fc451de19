"""Worker processes that end with their parent, leave Ctrl-C to it, and are gone when its work is done."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class WorkerProcesses:
    """A pool of spawned processes, to be used as a context or closed by `close`.

    Leaving a pool to the interpreter's exit prints a traceback now and then: the thread that feeds the
    processes and the modules that it needs go at the same time.
    """

    def __init__(self, workers: int):
        """Prepares `workers` processes; they start with the first piece of work."""
        # Spawned, because a fork copies locks of the threads that the parent may be running.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, context, initializer=_end_with_parent)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future:
        """Hands a piece of work to a process."""
        # Processes start in here and inherit what is blocked: a terminal sends Ctrl-C to all of them, and
        # each would print a traceback.
        with _ctrl_c_deferred():
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                return self._pool.submit(work, *arguments)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """Drops work that has not begun, waits for the rest and ends the processes."""
        self._pool.shutdown(cancel_futures=True)

    def terminate(self) -> None:
        """Ends the processes in the middle of their work."""
        for child in multiprocessing.active_children():
            child.terminate()
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> "WorkerProcesses":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        # A generator that is left half-way ends here by GeneratorExit, after Ctrl-C among others: nobody
        # wants
        # the results of work that is still done.
        if error is None or isinstance(error, Exception):
            self.close()
        else:
            self.terminate()


@contextmanager
def _ctrl_c_deferred() -> Iterator[None]:
    """Handles Ctrl-C after the block.

    In the middle of the start of a process it would leave one that nobody knows and nobody ends. A blocked
    signal is not enough: it reaches the process through another thread.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: arrived.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if arrived:
        handler(*arrived[0])


def _end_with_parent() -> None:
    """Lets a worker end when its parent was killed; otherwise it waits for work forever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
