"""The files of an archive's source, and how they and their members are cut into units."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from geosurge_jax.geo.storage import atomic_file
from geosurge_jax.importing.archives.contract import UNIT_BYTES, UNIT_PHOTOS, Contents, Unit
from geosurge_jax.input.image_files import skip_reason

P = TypeVar("P")

_FORMAT = 2
_SLUG = 80  # characters of a path in the name of a unit

Stamp = tuple[str, int, int]
"""Path relative to the source's folder, size in bytes, time of the last change in nanoseconds."""


@dataclass(frozen=True)
class Index:
    """What is kept of an archive between two runs.

    Attributes:
        stamps: The files that the units were made from.
        units: All units of the archive.
        skipped: Reason -> number of members that are no images.
    """

    stamps: tuple[Stamp, ...]
    units: tuple[Unit, ...]
    skipped: Mapping[str, int]


def natural_order(name: str) -> list[tuple[int, str]]:
    """A key that sorts `shard_2` before `shard_10`."""
    parts = re.split(r"(\d+)", name)
    return [(int(part) if part.isascii() and part.isdigit() else -1, part) for part in parts]


def source_folder(source: Path) -> Path:
    """The folder that paths of units are relative to: the source, or where it lies if it is a file."""
    return source if source.is_dir() else source.parent


def source_files(source: Path) -> list[str]:
    """All files of a source (itself, or what lies below it and is not hidden), in natural order.

    Raises:
        ValueError: There is neither such a file nor such a folder.
    """
    if source.is_file():
        return [source.name]
    if not source.is_dir():
        raise ValueError(f"{source}: no such file or folder, expected an archive (--source)")
    return sorted((path for path in all_files(source) if not skip_reason(path)), key=natural_order)


def all_files(folder: Path) -> Iterator[str]:
    """Yields the path of every file below a folder, relative to it."""
    for place, _, files in os.walk(folder):
        inside = Path(place).relative_to(folder)
        yield from ((inside / name).as_posix() for name in files)


def files_ending(source: Path, suffixes: tuple[str, ...], what: str) -> list[str]:
    """A source that is a file, or the files in it that end so; in natural order.

    Args:
        source: The archive.
        suffixes: In lower case.
        what: Is expected, for messages.

    Raises:
        ValueError: There are none, or one cannot be opened.
    """
    files = source_files(source)
    if source.is_dir():
        files = [file for file in files if file.lower().endswith(suffixes)]
    if not files:
        raise ValueError(f"{source}: no files *{suffixes[0]}, expected {what} (--source)")
    check_readable(source, files)
    return files


def check_readable(source: Path, files: Iterable[str]) -> None:
    """Refuse files that cannot be opened, links that lead nowhere among them.

    Raises:
        ValueError: There is one.
    """
    for file in files:
        path = source_folder(source) / file
        if not path.is_file() or not os.access(path, os.R_OK):
            raise ValueError(f"{path}: cannot be read, expected a file (--source)")


def stamp(folder: Path, path: str) -> Stamp:
    """What tells whether a file or a folder has changed; size -1 where it is gone."""
    try:
        status = os.stat(folder / path)
    except OSError:
        return path, -1, -1
    return path, status.st_size, status.st_mtime_ns


def cut_into_units(members: Iterable[tuple[P, int]]) -> Iterator[tuple[P, int]]:
    """Cut members into units of at most `UNIT_PHOTOS` and `UNIT_BYTES`.

    Args:
        members: Position and size in bytes of each member, in order.

    Yields:
        Position of a unit's first member, and the number of its members.
    """
    first: P | None = None
    count = total = 0
    for position, size in members:
        if first is not None and (count == UNIT_PHOTOS or total + size > UNIT_BYTES):
            yield first, count
            first = None
        if first is None:
            first, count, total = position, 0, 0
        count += 1
        total += size
    if first is not None:
        yield first, count


def unit_name(number: int, path: str, start: int) -> str:
    """A valid file name for the `number`-th unit of an archive, which tells what it is of."""
    slug = re.sub(r"[^A-Za-z0-9.-]+", "_", path)[-_SLUG:].strip("_.")
    return f"{number:06d}-{slug or 'root'}-{start}"


def named_units(spans: Iterable[tuple[str, int, int]]) -> tuple[Unit, ...]:
    """Units of (path, start, stop), in order."""
    return tuple(
        Unit(unit_name(number, path, start), path, start, stop)
        for number, (path, start, stop) in enumerate(spans)
    )


def read_index(workdir: Path, shape: str, source: Path) -> Index | None:
    """What an earlier run kept of an archive; None where there is nothing, or nothing of this format."""
    try:
        content = json.loads(_index_path(workdir, shape, source).read_bytes())
        if content["format"] != _FORMAT or content["limits"] != [UNIT_PHOTOS, UNIT_BYTES]:
            return None
        stamps = tuple((str(path), int(size), int(time)) for path, size, time in content["stamps"])
        spans = [(str(path), int(start), int(stop)) for path, start, stop in content["units"]]
        skipped = {str(reason): int(count) for reason, count in content["skipped"].items()}
        return Index(stamps, named_units(spans), skipped)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_index(workdir: Path, shape: str, source: Path, index: Index) -> None:
    """Keep what was learnt of an archive, atomically."""
    content = {
        "format": _FORMAT,
        "limits": [UNIT_PHOTOS, UNIT_BYTES],
        "stamps": index.stamps,
        "units": [(unit.path, unit.start, unit.stop) for unit in index.units],
        "skipped": dict(index.skipped),
    }
    workdir.mkdir(parents=True, exist_ok=True)
    with atomic_file(_index_path(workdir, shape, source)) as file:
        file.write(json.dumps(content).encode("ascii"))


def indexed_contents(
    workdir: Path,
    shape: str,
    source: Path,
    files: Sequence[str],
    spans: Iterable[tuple[str, int, int]],
    skipped: Mapping[str, int],
) -> Contents:
    """Contents of an archive of files: those kept in `workdir` if no file has changed, else made and kept.

    Args:
        workdir: Where the index lies.
        shape: Kind of the archive, a word.
        source: The archive.
        files: All files that the units depend on, relative to `source_folder(source)`.
        spans: Path, start and stop of each unit; looked at only where they have to be made.
        skipped: Reason -> number of members that are no images; complete once `spans` is exhausted.
    """
    stamps = tuple(stamp(source_folder(source), path) for path in files)
    kept = read_index(workdir, shape, source)
    if kept is None or kept.stamps != stamps:
        kept = Index(stamps, named_units(spans), skipped)
        write_index(workdir, shape, source, kept)
    beside = Counter(skipped_beside(source, files))
    return Contents(kept.units, beside + Counter(kept.skipped), fingerprint(stamps))


def skipped_beside(source: Path, files: Sequence[str]) -> Iterator[str]:
    """Yields why each file of a folder is skipped that is no part of the archive."""
    used = set(files)
    if source.is_dir():
        for path in all_files(source):
            if path not in used:
                yield skip_reason(path) or os.path.splitext(path)[1].lower() or "other files"


def fingerprint(stamps: Iterable[Stamp]) -> str:
    """Returns a digest of files' paths, sizes and times of change."""
    digest = hashlib.sha256()
    for path, size, time in stamps:
        digest.update(f"{path}\t{size}\t{time}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _index_path(workdir: Path, shape: str, source: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()
    return workdir / f"{shape}-{digest[:16]}.json"
