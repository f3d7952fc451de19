"""Where downloaded photos lie: tars of the WebDataset kind, and a journal of every address that was asked.

The order of writing is what makes a kill at any instant harmless. Photos go to the end of a hidden tar.
After a batch the tar is synchronised, then the journal says of each photo where it ends, and is
synchronised too. What lies behind the last such end was not promised to anybody and is cut off by the next
run, which goes on in the same tar. A tar of `UNIT_PHOTOS` photos gets its end mark and its final name.
"""

import contextlib
import fcntl
import io
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geosurge_jax.importing.archives.contract import UNIT_PHOTOS, photo_id

JOURNAL_FILE = "journal.jsonl"
STORED = "stored"
FAILED = "failed"
"""The outcome of an address that may be well another time; all others are final."""

_BATCH = 64  # photos between two synchronisations
_TAR = re.compile(r"\.?photos-(?P<number>\d{5,})\.tar")
_END_MARK = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Outcome:
    """What became of one address.

    Attributes:
        kind: `STORED`, `FAILED`, "gone", ...
        detail: The tar it lies in, or the reason.
    """

    kind: str
    detail: str


class PhotoStore:
    """A folder of downloaded photos, to be used as a context; one process at a time.

    Attributes:
        outcomes: By `photo_id`, of all photos that need not be asked for again, and of all of this run.
    """

    def __init__(self, directory: Path):
        self.outcomes: dict[str, Outcome] = {}
        self._directory = directory
        self._known: dict[Outcome, Outcome] = {}
        self._pending: list[dict[str, Any]] = []
        self._number = 0
        self._end = 0
        self._photos = 0
        self._tar: io.FileIO | None = None

    def __enter__(self) -> "PhotoStore":
        """Take the folder and go on where the last run ended.

        Raises:
            ValueError: Another process is at work in the folder.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            self._folder = os.open(self._directory, os.O_RDONLY)
            opened.callback(os.close, self._folder)
            try:
                fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"{self._directory}: another download is at work here, expected one at a time (--out)"
                ) from None
            self._journal = opened.enter_context(io.FileIO(self._directory / JOURNAL_FILE, "a"))
            self._resume()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_) -> None:
        with self._opened:
            try:
                self._synchronise()
            finally:
                if self._tar is not None:
                    self._tar.close()

    def add_photo(
        self, image_id: str, content: bytes, suffix: str, values: Mapping[str, str]
    ) -> None:
        """Store a photo, and beside it `values` as JSON.

        Args:
            image_id: As the list names it; the name in the tar is its `photo_id`.
            content: The file.
            suffix: Of the name in the tar, as in ".jpg".
            values: What is known of the photo.
        """
        key = photo_id(image_id)
        if self._tar is None:
            self._tar = self._open_tar(self._number)
        blocks = _member(f"{key}{suffix}", content)
        blocks += _member(f"{key}.json", json.dumps(dict(values)).encode("ascii"))
        _write(self._tar, blocks)
        self._end += len(blocks)
        self._photos += 1
        name = _tar_name(self._number)
        self._promise(image_id, Outcome(STORED, name), number=self._number, end=self._end)
        if self._photos >= UNIT_PHOTOS:
            self.finish_tar()

    def add_outcome(self, image_id: str, outcome: Outcome) -> None:
        """Note that there is no photo, and why."""
        self._promise(image_id, outcome)

    def finish_tar(self) -> None:
        """Give the tar in the making its end mark and its final name, if it holds a photo."""
        self._synchronise()
        if self._tar is None:
            return
        _write(self._tar, _END_MARK)
        os.fsync(self._tar.fileno())
        self._tar.close()
        self._tar = None
        name = _tar_name(self._number)
        os.rename(self._directory / f".{name}", self._directory / name)
        os.fsync(self._folder)
        self._number, self._end, self._photos = self._number + 1, 0, 0

    def _promise(self, image_id: str, outcome: Outcome, **where: int) -> None:
        # Millions of photos share a few thousand outcomes.
        self.outcomes[photo_id(image_id)] = self._known.setdefault(outcome, outcome)
        line = {"id": image_id, "outcome": outcome.kind, "detail": outcome.detail, **where}
        self._pending.append(line)
        if len(self._pending) >= _BATCH:
            self._synchronise()

    def _synchronise(self) -> None:
        """Bring photos to the disk, and then what the journal says of them."""
        if not self._pending:
            return
        if self._tar is not None:
            os.fsync(self._tar.fileno())
        lines = "".join(json.dumps(line) + "\n" for line in self._pending)
        _write(self._journal, lines.encode("ascii"))
        os.fsync(self._journal.fileno())
        self._pending.clear()

    def _open_tar(self, number: int) -> io.FileIO:
        path = self._directory / f".{_tar_name(number)}"
        file = io.FileIO(path, "r+" if path.exists() else "x+")
        file.truncate(self._end)
        file.seek(self._end)
        os.fsync(self._folder)
        return file

    def _resume(self) -> None:
        """Take over what was promised and is there, and the tar in the making."""
        sizes: dict[int, int] = {}
        unfinished = []
        for path in self._directory.iterdir():
            match = _TAR.fullmatch(path.name)
            if match is not None:
                sizes[int(match["number"])] = path.stat().st_size
                if path.name.startswith("."):
                    unfinished.append(int(match["number"]))
        ends: Counter[int] = Counter()
        photos: Counter[int] = Counter()
        highest = max(sizes, default=-1)
        for image_id, outcome, number, end in self._journal_lines():
            highest = max(highest, number)
            if outcome.kind == FAILED or end > sizes.get(number, 0):
                continue
            ends[number] = max(ends[number], end)
            photos[number] += 1
            self.outcomes[photo_id(image_id)] = self._known.setdefault(outcome, outcome)
        for number in sorted(unfinished):
            self._number, self._end, self._photos = number, ends[number], photos[number]
            self._tar = self._open_tar(number)
            if number < highest or self._photos >= UNIT_PHOTOS:
                self.finish_tar()
        if self._tar is None:
            self._number, self._end, self._photos = highest + 1, 0, 0

    def _journal_lines(self) -> Iterator[tuple[str, Outcome, int, int]]:
        """Image id, outcome, number of the tar and end in it of each line that can be read.

        A torn last line is cut off. Without a photo the number is -1 and the end 0.
        """
        whole = 0
        with (self._directory / JOURNAL_FILE).open("rb") as file:
            for content in file:
                if not content.endswith(b"\n"):
                    break
                whole += len(content)
                try:
                    line = json.loads(content)
                    outcome = Outcome(str(line["outcome"]), str(line["detail"]))
                    number, end = -1, 0
                    if outcome.kind == STORED:
                        number, end = int(line["number"]), int(line["end"])
                    yield str(line["id"]), outcome, number, end
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue
        self._journal.truncate(whole)


def _tar_name(number: int) -> str:
    return f"photos-{number:05d}.tar"


def _member(name: str, content: bytes) -> bytes:
    """A file as it stands in a tar."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    header = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
    return header + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def _write(file: io.FileIO, content: bytes) -> None:
    """Write all of it: a system call may take less, where a disk is almost full."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]
