"""A journal of results beside the file that they are written to, so that killed work is resumed."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from geosurge_jax.serving.formats import Record

# The first line of a journal holds the settings under this name.
_SETTINGS = "settings"


class JournalError(ValueError):
    """A journal that cannot be used; the message is one line."""


class Journal:
    """An open journal: JSON Lines, first the settings, then one record an image.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, file: BinaryIO):
        """Wraps a locked file of whole lines; `open_journal` makes one."""
        self.path = path
        self._file = file

    def append(self, record: Record) -> None:
        """Adds a record and flushes it, so that killing this process does not lose it."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()

    def records(self) -> Iterator[Record]:
        """Yields the records from the first one on; holds one at a time.

        Raises:
            JournalError: a line is damaged.
        """
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if number > 1:
                    yield _parsed(line, self.path, number)

    def remove(self) -> None:
        """Deletes the file."""
        self.path.unlink()


def journal_path(out: Path) -> Path:
    """Returns the hidden file beside `out` that holds its journal."""
    return out.with_name(f".{out.name}.journal")


@contextmanager
def open_journal(
    path: Path,
    settings: Mapping[str, Any],
    *,
    resume: bool,
    replace: bool = False,
) -> Iterator[Journal]:
    """Opens a journal and keeps other processes out of it; the file stays when the block ends.

    A partial last line, as a killed process leaves it, is dropped.

    Args:
        path: the file.
        settings: options that decide the results, by name; values for JSON.
        resume: continue the journal of earlier work, where there is one.
        replace: discard the journal of earlier work.

    Raises:
        JournalError: another process writes it, it belongs to work with other settings, it is there though
            neither `resume` nor `replace` was asked for, or it is damaged; one line.
        OSError: it cannot be read or written.
    """
    with path.open("a+b") as file:
        _lock(file, path)
        if replace:
            file.truncate(0)
        end = _end_of_whole_lines(file)
        file.truncate(end)
        if end and not resume:
            raise JournalError(
                f"{path}: holds results of earlier, interrupted work; give --resume to continue it, or "
                "delete this file to start anew"
            )
        if end:
            file.seek(0)
            _check_settings(_parsed(file.readline(), path, 1), settings, path)
        journal = Journal(path, file)
        if not end:
            journal.append({_SETTINGS: dict(settings)})
        yield journal


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalError(f"{path}: another process is writing here; wait for it") from None
    except OSError:
        pass  # a file system without locks


def _end_of_whole_lines(file: BinaryIO) -> int:
    """Returns the position behind the last line feed; 0 where there is none."""
    position, block = file.seek(0, os.SEEK_END), 1 << 16
    while position > 0:
        start = max(0, position - block)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _parsed(line: bytes, path: Path, number: int) -> Record:
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise JournalError(
            f"{path}: line {number} is damaged; expected a JSON object (delete this file to start anew)"
        )
    return values


def _check_settings(first: Record, settings: Mapping[str, Any], path: Path) -> None:
    known: Any = first.get(_SETTINGS)
    earlier = known if isinstance(known, dict) else {}
    now = json.loads(json.dumps(settings))
    changed = [
        f"{name}={earlier.get(name)!r} and not {now.get(name)!r}"
        for name in sorted({*earlier, *now})
        if earlier.get(name) != now.get(name)
    ]
    if changed:
        raise JournalError(
            f"{path}: holds results with {', '.join(changed)}; give the same options to resume, or delete "
            "this file to start anew"
        )
