"""A folder tree of photos, in the order of its sorted listing: a folder's own files, then its subfolders.

A unit is named by the folder that it begins in, the number of its first photo there, and how many follow
in the order of the whole tree. So a worker lists no more than the folders of its unit and those above.
"""

import functools
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from geosurge_jax.importing.archives.contract import Contents, Member, Unit
from geosurge_jax.importing.archives.files import (
    Stamp,
    cut_into_units,
    fingerprint,
    named_units,
    stamp,
)
from geosurge_jax.importing.archives.members import error_text, problem_member, size_problem
from geosurge_jax.importing.file_names import name_problem, plain, shown
from geosurge_jax.input.image_files import FolderListing, list_folder


@dataclass(frozen=True)
class ImageTree:
    """A folder of photos in folders, as `a/b/NAME.jpg`.

    Files that are no images are skipped and counted. A link to a file counts as that file if it stays in the
    tree; links to folders are not followed. A folder of millions of files is listed once by each process, at
    about 80 bytes a file.

    Attributes:
        source: The folder.
    """

    source: Path

    def contents(self, workdir: Path) -> Contents:
        """List and measure all files, and cut the tree into units.

        Args:
            workdir: Not used: every file is looked at, as a changed one does not change its folder.

        Raises:
            ValueError: There is no such folder, or no photo in it.
        """
        if not self.source.is_dir():
            raise ValueError(f"{self.source}: no such folder, expected a tree of photos (--source)")
        stamps: list[Stamp] = []
        skipped: Counter[str] = Counter()
        try:
            units = named_units(_spans(self.source, stamps, skipped))
        except OSError as error:
            reason = f"{error.filename}: {error_text(error)}"
            raise ValueError(f"{reason}, expected a readable folder (--source)") from None
        if not units:
            raise ValueError(f"{self.source}: no photos in the folder or below (--source)")
        return Contents(units, skipped, fingerprint(stamps))

    def read(self, unit: Unit) -> Iterator[Member]:
        """Read the photos of a unit in order."""
        root = os.path.realpath(self.source)
        try:
            for path in islice(_paths_from(self.source, unit), unit.start, unit.stop):
                yield _member(root, path)
        except OSError as error:
            problem = f"unreadable folder: {error_text(error)}"
            yield problem_member(unit.path, plain(unit.path), problem)


def _spans(
    source: Path, stamps: list[Stamp], skipped: Counter[str]
) -> Iterator[tuple[str, int, int]]:
    """Folder, first photo and last of each unit; fills `stamps` of all photos and `skipped`."""
    for (folder, first), count in cut_into_units(_measured(source, stamps, skipped)):
        yield folder, first, first + count


def _measured(
    source: Path, stamps: list[Stamp], skipped: Counter[str]
) -> Iterator[tuple[tuple[str, int], int]]:
    """Folder and number there of each photo, and its size in bytes."""
    for folder in _folders_from(source, ".", ()):
        listing = _listing(source, folder)
        skipped.update(listing.skipped.values())
        for number, name in enumerate(listing.images):
            stamps.append(stamp(source, _joined(folder, name)))
            yield (folder, number), max(stamps[-1][1], 0)


def _folders_from(source: Path, folder: str, first: tuple[str, ...]) -> Iterator[str]:
    """The folders of the tree in order, from `folder/first[0]/first[1]/...` on."""
    if not first:
        yield folder
    for name in _listing(source, folder).folders:
        below = _joined(folder, name)
        if not first or name > first[0]:
            yield from _folders_from(source, below, ())
        elif name == first[0]:
            yield from _folders_from(source, below, first[1:])


def _joined(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"


def _listing(source: Path, folder: str) -> FolderListing:
    """The entries of one folder of the tree."""
    path = os.fspath(source / folder)
    return _listed(path, os.stat(path).st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _listed(path: str, changed: int) -> FolderListing:
    """`_listing` of a folder as it was at the time `changed`."""
    return list_folder(path)


def _paths_from(source: Path, unit: Unit) -> Iterator[str]:
    first = tuple(unit.path.split("/")) if unit.path != "." else ()
    for folder in _folders_from(source, ".", first):
        for name in _listing(source, folder).images:
            yield _joined(folder, name)


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
