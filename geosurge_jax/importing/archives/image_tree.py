"""A folder tree of photos, in the order of its sorted listing: a folder's own files, then its subfolders.

A unit is named by the folder that it begins in, the number of its first photo there, and how many follow
in the order of the whole tree. So a worker lists no more than the folders of its unit and those above.
"""

import functools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from geosurge_jax.importing.archives.contract import Member, Unit
from geosurge_jax.importing.archives.files import (
    Index,
    Stamp,
    cut_into_units,
    named_units,
    read_index,
    stamp,
    write_index,
)
from geosurge_jax.importing.archives.members import (
    error_text,
    is_photo_name,
    name_problem,
    plain,
    problem_member,
    shown,
    size_problem,
)

_SHAPE = "tree"


@dataclass(frozen=True)
class ImageTree:
    """A folder of photos in folders, as `a/b/NAME.jpg`.

    Hidden files, and files that do not end like photos, are not looked at. A link to a file counts as that
    file if it stays in the tree; links to folders are not followed. A folder of millions of files is listed
    once by each process, at about 80 bytes a file.

    Attributes:
        source: The folder.
    """

    source: Path

    def units(self, workdir: Path) -> tuple[Unit, ...]:
        """Cut the tree into units; all files are listed and measured only where a folder has changed.

        Raises:
            ValueError: There is no such folder, or no photo in it.
        """
        if not self.source.is_dir():
            raise ValueError(f"{self.source}: no such folder, expected a tree of photos (--source)")
        kept = read_index(workdir, _SHAPE, self.source)
        if kept is not None and kept.stamps == tuple(stamp(self.source, s[0]) for s in kept.stamps):
            return kept.units
        stamps: list[Stamp] = []
        try:
            units = named_units(_spans(self.source, stamps))
        except OSError as error:
            reason = f"{error.filename}: {error_text(error)}"
            raise ValueError(f"{reason}, expected a readable folder (--source)") from None
        if not units:
            raise ValueError(f"{self.source}: no photos in the folder or below (--source)")
        write_index(workdir, _SHAPE, self.source, Index(tuple(stamps), units))
        return units

    def read(self, unit: Unit) -> Iterator[Member]:
        """Read the photos of a unit in order."""
        root = os.path.realpath(self.source)
        try:
            for path in islice(_paths_from(self.source, unit), unit.start, unit.stop):
                yield _member(root, path)
        except OSError as error:
            problem = f"unreadable folder: {error_text(error)}"
            yield problem_member(unit.path, plain(unit.path), problem)


def _spans(source: Path, stamps: list[Stamp]) -> Iterator[tuple[str, int, int]]:
    """Folder, first photo and last of each unit; the stamps of all folders are appended to `stamps`."""
    for (folder, first), count in cut_into_units(_measured(source, stamps)):
        yield folder, first, first + count


def _measured(source: Path, stamps: list[Stamp]) -> Iterator[tuple[tuple[str, int], int]]:
    """Folder and number there of each photo, and its size in bytes."""
    for folder in _folders_from(source, ".", ()):
        stamps.append(stamp(source, folder))
        for number, name in enumerate(_listing(source, folder)[0]):
            try:
                size = os.stat(source / folder / name).st_size
            except OSError:
                size = 0
            yield (folder, number), size


def _folders_from(source: Path, folder: str, first: tuple[str, ...]) -> Iterator[str]:
    """The folders of the tree in order, from `folder/first[0]/first[1]/...` on."""
    if not first:
        yield folder
    for name in _listing(source, folder)[1]:
        below = name if folder == "." else f"{folder}/{name}"
        if not first or name > first[0]:
            yield from _folders_from(source, below, ())
        elif name == first[0]:
            yield from _folders_from(source, below, first[1:])


def _listing(source: Path, folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sorted names in one folder: of its photos and links to folders, and of its subfolders."""
    path = os.fspath(source / folder)
    return _listed(path, os.stat(path).st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _listed(path: str, changed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`_listing` of a folder as it was at the time `changed`."""
    photos, folders = [], []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif is_photo_name(entry.name) or (entry.is_symlink() and entry.is_dir()):
                photos.append(entry.name)
    return tuple(sorted(photos)), tuple(sorted(folders))


def _paths_from(source: Path, unit: Unit) -> Iterator[str]:
    first = tuple(unit.path.split("/")) if unit.path != "." else ()
    for folder in _folders_from(source, ".", first):
        for name in _listing(source, folder)[0]:
            yield name if folder == "." else f"{folder}/{name}"


def _member(root: str, path: str) -> Member:
    """One photo, or what is wrong with it.

    Args:
        root: The tree, without links.
        path: Of the photo, relative to it.
    """
    problem = name_problem(path)
    content = b""
    if not problem:
        try:
            content, problem = _content(root, path)
        except OSError as error:
            problem = f"unreadable file: {error_text(error)}"
    if problem:
        return problem_member(path, plain(path), problem)
    return Member(path, content, plain(path), {})


def _content(root: str, path: str) -> tuple[bytes, str]:
    """A file's content and what is wrong with it."""
    full = os.path.join(root, path)
    if os.path.islink(full):  # no folder above it is one
        full = os.path.realpath(full)
        if os.path.commonpath([root, full]) != root:
            return b"", f"unsafe link: {shown(path)} leads out of the folder"
    status = os.stat(full)
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for somebody to write to it
        return b"", f"not a file: {shown(path)}"
    problem = size_problem(status.st_size)
    if problem:
        return b"", problem
    with open(full, "rb") as file:
        return file.read(status.st_size), ""
