"""Being asked to stop: SIGTERM from a scheduler, Ctrl-C, a maintenance notice for any host.

A run that is asked to stop saves its state first and ends with `EXIT_CODES`, so that a scheduler knows
to start it again and a shell knows that a person ended it.
"""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import jax
from jax.experimental import multihost_utils

from geosurge_jax.command_end import ExitCode, StoppedCommand

T = TypeVar("T")

# 75 is EX_TEMPFAIL of sysexits.h, "try again later"; 130 is what shells use for Ctrl-C.
EXIT_CODES = {signal.SIGTERM: 75, signal.SIGINT: int(ExitCode.INTERRUPTED)}


class StoppedError(StoppedCommand):
    """The run was asked to stop; carries the exit code."""

    def __init__(self, cause: signal.Signals, saved_step: int | None = None):
        """States why, and the step whose state was saved on the way out."""
        super().__init__(cause.name)
        self.cause, self.saved_step = cause, saved_step
        self.exit_code = EXIT_CODES[cause]

    @property
    def speaks(self) -> bool:
        """Whether this process prints the message: of several, which all stop, the first does."""
        return jax.process_index() == 0

    def __str__(self) -> str:
        """One line for the terminal."""
        where = (
            "nothing new was to be saved"
            if self.saved_step is None
            else f"the state after step {self.saved_step} is saved"
        )
        return f"stopped by {self.cause.name}: {where}; the same command goes on from there"


class StopRequests:
    """Whether this run was asked to stop, agreed among all processes.

    Asked at points that every process passes in the same order. One process: signals raise `StoppedError`
    at once, but for the time in which `deferred` holds them back for the next such point. Several:
    jax' own preemption service receives the notice on any of them and names the point for all.
    """

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self._cause: signal.Signals | None = None
        self._deferring = False
        self._points = 0

    def receive(self, number: int, _: FrameType | None) -> None:
        """Handles a signal; a second Ctrl-C does not wait."""
        again = self._cause is not None
        self._cause = signal.Signals(number)
        if not self._deferring or (again and self._cause is signal.SIGINT):
            raise StoppedError(self._cause)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Holds signals back for the next `requested`."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def requested(self) -> signal.Signals | None:
        """Why to stop at this point, or None; every process has to ask equally often."""
        self._points += 1
        if jax.process_count() == 1:
            return self._cause
        reached = multihost_utils.reached_preemption_sync_point(self._points)
        return signal.SIGTERM if reached else None

    def check(self, items: Iterable[T]) -> Iterator[T]:
        """Yields `items`.

        Raises:
            StoppedError: before the next item, once stopping was asked for.
        """
        for item in items:
            cause = self.requested()
            if cause is not None:
                raise StoppedError(cause)
            yield item


@contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """Listens for SIGTERM and Ctrl-C within the block.

    With several processes the signals stay with jax' preemption service, which listens since
    `jax.distributed.initialize`.
    """
    requests = StopRequests()
    if jax.process_count() > 1:
        yield requests
        return
    before = {number: signal.signal(number, requests.receive) for number in EXIT_CODES}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
