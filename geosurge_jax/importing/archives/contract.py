"""What a reader of photo archives promises, whatever the archive's shape.

An archive is cut into units; a worker takes an archive and a unit and reads on its own. Archives are
therefore frozen dataclasses that can be pickled, and `Archive.read` needs nothing but the archive and the
unit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from geosurge_jax.input.image_formats import without_suffix

UNIT_PHOTOS = 4096
"""Photos of a unit at most."""

UNIT_BYTES = 256 * 2**20
"""Bytes of photos of a unit at most, unless one photo alone has more."""


@dataclass(frozen=True)
class Unit:
    """A part of an archive that one worker reads on its own; the same on any machine.

    Attributes:
        name: Unique in the archive, a valid file name.
        path: File or folder that it lies in, relative to the folder of the archive.
        start: First member, by the archive's own counting (members, files, bytes).
        stop: Where it ends: `start <= n < stop`.
    """

    name: str
    path: str
    start: int
    stop: int


@dataclass(frozen=True)
class Member:
    """One photo of an archive, or what is wrong with it.

    Attributes:
        name: Its path in the archive, or the id that the archive gives.
        content: The encoded photo, empty where there is a problem.
        where: For messages: "shard_3.msg, item 12".
        values: What the archive itself says of the photo, column -> text.
        problem: "kind: reason" in one line, as in "too large file: ..."; empty = none.
    """

    name: str
    content: bytes
    where: str
    values: Mapping[str, str]
    problem: str = ""

    @property
    def id(self) -> str:
        """What it is called where no table calls it otherwise."""
        return photo_id(self.name)

    @property
    def ids(self) -> tuple[str, ...]:
        """What a table may call it: by its whole path, or by what is left without the outer folders."""
        parts = self.name.replace("\\", "/").split("/")
        return tuple(
            photo_id("/".join(parts[first:])) for first in range(len(parts)) if parts[first]
        )


@dataclass(frozen=True)
class Contents:
    """What an archive holds.

    Attributes:
        units: its parts, in a fixed order.
        skipped: reason -> number of files or members that are no images.
        fingerprint: digest of the paths, sizes and times of change of all files that images are read from;
            another one where a file was added, removed or changed.
    """

    units: tuple[Unit, ...]
    skipped: Mapping[str, int]
    fingerprint: str


class Archive(Protocol):
    """Photos in one shape; implementations are frozen dataclasses that can be pickled."""

    def contents(self, workdir: Path) -> Contents:
        """Lists the archive and cuts it into units.

        Args:
            workdir: Where an index may be left, which the next call uses if path, size and time of all
                files are the same.

        Raises:
            ValueError: The archive as a whole is not what it should be.
        """
        ...

    def read(self, unit: Unit) -> Iterator[Member]:
        """Read the members of a unit one after the other, holding one photo at a time.

        Damage of one member is a member with a problem, and the rest of the unit still arrives where the
        format allows it.
        """
        ...


def photo_id(name: str) -> str:
    """One id for one photo, in whatever shape it comes.

    "a/b/NAME.jpg", "./a/b/NAME.jpg", "a_b_NAME.jpg" and "a/b/NAME" are all "a_b_NAME".
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return without_suffix("_".join(parts))
