"""Ends all processes of a run when one is lost or fails, with a line that says which and why.

A process alone in a collective waits for ever, and JAX's own answer, an abort in C++ after missed
heartbeats, cannot say which process failed, nor of what. So each process shows a sign of life in the
key-value store of JAX's coordination service, process 0 sees whose signs stop, and a process that fails
leaves a note there. JAX's heartbeat stays behind as the second line, for when process 0 itself is gone.
"""

import json
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

from jax.errors import JaxRuntimeError

AGAIN = "start all processes again: the run goes on from its last checkpoint"


@dataclass(frozen=True)
class Timeouts:
    """How long processes wait for each other, in seconds.

    A lost process ends all others within a minute: at once where the others see a broken connection to
    process 0, `lost` and two beats after the last sign of life of another process, `heartbeat` and a few
    seconds where the host of process 0 is gone without a trace.

    Attributes:
        initialization: from the first process to the last at the start.
        beat: between two signs of life.
        lost: without a sign of life from a process until it counts as lost.
        lost_after_failure: the same, once a collective has failed somewhere.
        heartbeat: JAX's own limit on silence between a process and process 0.
        shutdown: from the first process to the last at the end, when all work is done.
    """

    initialization: int = 300
    beat: float = 2.0
    lost: float = 30.0
    lost_after_failure: float = 8.0
    heartbeat: int = 45
    shutdown: int = 60


def end_now(code: int, message: str) -> NoReturn:
    """Prints `error: message` and ends the process without its exit handlers.

    Those wait for the other processes (JAX's shutdown barrier), for a save that all have to finish (Orbax)
    and for threads inside a collective: with a process gone, for ever. What the run keeps is on disk
    already or is written whole or not at all, so there is nothing to lose but the standard streams.
    """
    print(f"error: {message}", file=sys.stderr)
    _leave(code)


def _leave(code: int) -> NoReturn:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Watch:
    """Signs of life and notes of failure among the processes of a run."""

    def __init__(self, client: Any, process: int, processes: int, timeouts: Timeouts):
        """Starts watching.

        Args:
            client: of JAX's coordination service.
            process: which one this is.
            processes: how many there are.
            timeouts: how long to wait.
        """
        self.name = f"process {process} of {processes}"
        self._client, self._process, self._processes = client, process, processes
        self._timeouts = timeouts
        now = time.monotonic()
        self._seen = {str(other): ("", now) for other in range(1, processes)}
        self._stopped = threading.Event()
        self._last_word = threading.Lock()
        self._witness = Witness(self.name, coordinates=process == 0)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch, once all processes have done their work."""
        self._stopped.set()
        self._thread.join()
        self._witness.dismiss()

    def fail(self, error: BaseException) -> NoReturn:
        """Ends this process by an error of its own, or by what lies behind it, and with it all others."""
        if _may_come_from_another(error):
            # The others and the service know more than a broken connection tells; their answer ends us.
            self._note(None, "a collective failed")
            time.sleep(self._timeouts.lost_after_failure + 4 * self._timeouts.beat)
        self._last_word.acquire()
        code, reason = 1, " ".join(f"{type(error).__name__}: {error}".split())
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else 1
            reason = " ".join(str(error.__cause__ or f"exit code {code}").split())
        else:
            print(f"error: {self.name} failed:", file=sys.stderr)
            traceback.print_exception(error)
        self._end_all(code, f"{self.name} failed: {reason}")

    def _run(self) -> None:
        beats = 0
        while not self._stopped.wait(self._timeouts.beat):
            beats += 1
            try:
                own = f"geosurge/beats/{self._process}"
                self._client.key_value_set(own, str(beats), allow_overwrite=True)
                notes = self._notes()
                found = next((note for note in notes.values() if note["code"] is not None), None)
                if found is None and self._process == 0:
                    found = self._silent(in_doubt=bool(notes))
            except JaxRuntimeError as error:
                lost = f"process 0 of {self._processes}, the coordinator, was lost"
                text = f"{lost} ({' '.join(str(error).split())[:120]}); {AGAIN}"
                found = {"code": 1, "text": text}
            if found is not None and not self._stopped.is_set():
                self._last_word.acquire()
                print(f"error: {self.name} ends: {found['text']}", file=sys.stderr)
                self._end_all(found["code"], found["text"])

    def _silent(self, in_doubt: bool) -> dict[str, Any] | None:
        """The note on a process that shows no sign of life any more."""
        now = time.monotonic()
        for key, beat in self._client.key_value_dir_get("geosurge/beats/"):
            other = key.rsplit("/", 1)[-1]
            if other in self._seen and self._seen[other][0] != beat:
                self._seen[other] = (beat, now)
        patience = self._timeouts.lost_after_failure if in_doubt else self._timeouts.lost
        for other, (_, last) in self._seen.items():
            if now - last > patience:
                lost = f"process {other} of {self._processes} was lost"
                text = f"{lost} (no sign of life for {now - last:.0f} s); {AGAIN}"
                return {"code": 1, "text": text}
        return None

    def _notes(self) -> dict[int, dict[str, Any]]:
        """The notes by process; our own too, which is a doubt as long as we are here to read it."""
        found = self._client.key_value_dir_get("geosurge/notes/")
        return {int(key.rsplit("/", 1)[-1]): json.loads(note) for key, note in found}

    def _note(self, code: int | None, text: str) -> None:
        """Leaves a note; without a code it is a doubt, with one it ends all."""
        try:
            key = f"geosurge/notes/{self._process}"
            note = json.dumps({"code": code, "text": text})
            self._client.key_value_set(key, note, allow_overwrite=True)
        except JaxRuntimeError:
            pass  # process 0 is gone, and all others see that for themselves

    def _end_all(self, code: int, text: str) -> NoReturn:
        self._note(code, text)
        deadline = time.monotonic() + 3 * self._timeouts.beat
        # The notes are kept by process 0: it goes when all have read them.
        while self._process == 0 and time.monotonic() < deadline:
            if sum(note["code"] is not None for note in self._notes().values()) == self._processes:
                break
            time.sleep(0.1)
        self._witness.dismiss()
        _leave(code)


def _may_come_from_another(error: BaseException | None) -> bool:
    """Whether the runtime failed, as it does when another process goes; a lack of memory is our own."""
    while error is not None:
        if isinstance(error, JaxRuntimeError):
            return not str(error).startswith("RESOURCE_EXHAUSTED")
        error = error.__cause__ or error.__context__
    return False


class Witness:
    """A shell that outlives the process for one line, where the process cannot say it itself.

    So it is when the kernel kills it, and when JAX aborts it in C++ because process 0 is gone.
    """

    def __init__(self, name: str, *, coordinates: bool):
        """Starts waiting for the end of this process, or for its word that all is well.

        Args:
            name: of the process.
            coordinates: whether it is process 0.
        """
        cause = "it was killed (for want of memory?)"
        if not coordinates:
            cause = f"process 0, the coordinator, was lost, as JAX says above, or {cause}"
        message = f"error: {name} ended abruptly: {cause}; {AGAIN}"
        script = 'trap "" HUP INT TERM; read -r _ || echo "$0" >&2'
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", script, message],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Nothing to say."""
        self._shell.communicate(b"\n")
