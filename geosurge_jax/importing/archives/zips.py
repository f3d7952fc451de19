"""Zips of photos, as OSV-5M comes: `images/train/NN.zip` with members `NN/ID.jpg`.

Positions of units count the photos of one zip in the order of its central directory. A worker reads the
directory of the zip that its unit is of (half a kilobyte of memory an entry) and keeps it for the units
that follow, as a zip of N photos would be listed N / 4,096 times. Of each member it reads no more than it
declares, which is `MAX_FILE_BYTES` at most.
"""

import functools
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geosurge_jax.importing.archives.contract import Contents, Member, Unit
from geosurge_jax.importing.archives.files import (
    cut_into_units,
    files_ending,
    indexed_contents,
    source_folder,
)
from geosurge_jax.importing.archives.members import error_text, problem_member, size_problem
from geosurge_jax.importing.file_names import name_problem, plain, shown
from geosurge_jax.input.image_files import file_skip_reason

_SHAPE = "zip"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of the others `zipfile` does not bound what a piece of input becomes in memory."""
_ENCRYPTED = 0x0001 | 0x0040
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, OverflowError),
    *(NotImplementedError, RuntimeError, ValueError),
)
"""What `zipfile` raises on damage."""


@dataclass(frozen=True)
class Zips:
    """A folder of zips, or one zip.

    Of members with the same name all arrive, in order.

    Attributes:
        source: The folder or the file.
    """

    source: Path

    def contents(self, workdir: Path) -> Contents:
        """Cut the zips into units; central directories alone are read, and only where a file has changed.

        Raises:
            ValueError: There are no zips, or no photos in them.
        """
        files = files_ending(self.source, (".zip",), "zips of photos")
        skipped: Counter[str] = Counter()
        spans = self._spans(files, skipped)
        return indexed_contents(workdir, _SHAPE, self.source, files, spans, skipped)

    def read(self, unit: Unit) -> Iterator[Member]:
        """Read the photos of a unit in order."""
        try:
            archive, photos = _opened(source_folder(self.source) / unit.path)
            for info in photos[unit.start : unit.stop]:
                yield _member(archive, info, unit.path)
        except _UNREADABLE as error:
            problem = f"damaged archive: {error_text(error)}"
            yield problem_member(unit.path, plain(unit.path), problem)

    def _spans(self, files: list[str], skipped: Counter[str]) -> Iterator[tuple[str, int, int]]:
        photos, problem = 0, "nothing in them ends like one"
        for name in files:
            try:
                with zipfile.ZipFile(source_folder(self.source) / name) as archive:
                    sizes = [(n, info.file_size) for n, info in enumerate(_photos(archive))]
                    members = (info for info in archive.infolist() if not info.is_dir())
                    reasons = (file_skip_reason(info.filename) for info in members)
                    skipped.update(reason for reason in reasons if reason)
            except _UNREADABLE as error:
                problem = error_text(error)
                yield name, 0, 0  # a unit that will tell of the damage
                continue
            photos += len(sizes)
            for start, count in cut_into_units(sizes):
                yield name, start, start + count
        if not photos:
            raise ValueError(
                f"{self.source}: no photos in {len(files)} zips ({problem}), expected members *.jpg "
                "(--source)"
            )


def _opened(path: Path) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """A zip and its photos."""
    status = os.stat(path)
    return _kept_open(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _kept_open(
    path: Path, size: int, changed: int
) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """`_opened` of a zip as it was at the time `changed`; it is closed when nobody reads it any more."""
    archive = zipfile.ZipFile(path)
    return archive, _photos(archive)


def _photos(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [
        info
        for info in archive.infolist()
        if not info.is_dir() and not file_skip_reason(info.filename)
    ]


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> Member:
    """A photo, or what is wrong with it."""
    name = info.filename
    where = f"{plain(path)}, {plain(name)}"
    problem = name_problem(name) or _entry_problem(info) or size_problem(info.file_size)
    if problem:
        return problem_member(name, where, problem)
    try:
        with archive.open(info) as file:
            content = file.read(info.file_size)  # a bomb that declares less is not blown up further
    except _UNREADABLE as error:
        return problem_member(name, where, f"damaged file: {error_text(error)}")
    if len(content) != info.file_size:
        problem = f"damaged file: {len(content)} bytes, {info.file_size} were promised"
        return problem_member(name, where, problem)
    return Member(name, content, where, {})


def _entry_problem(info: zipfile.ZipInfo) -> str:
    """Why an entry is not a file that can be read, empty = it is."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind and kind != stat.S_IFREG:
        return f"not a file: {shown(info.filename)} is a link or a device"
    if info.flag_bits & _ENCRYPTED:
        return f"encrypted file: {shown(info.filename)}"
    if info.compress_type not in _METHODS:
        return f"compression method {info.compress_type}: expected 0 (stored) or 8 (deflated)"
    return ""
