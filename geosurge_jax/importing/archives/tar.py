"""Tars of photos: whole or cut in parts, plain or as WebDataset writes them.

In a WebDataset a sample is a run of files of one key, `KEY.jpg`, `KEY.json`, `KEY.anything`: the photo
and what the JSON says of it are taken, all else is passed over. A plain tar is one without JSON. Nothing
is unpacked, and no index that came with an archive is read: MP16-Pro's is a pickle, which may hold code.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from geosurge_jax.importing.archives.contract import Contents, Member, Unit
from geosurge_jax.importing.archives.files import (
    check_readable,
    cut_into_units,
    indexed_contents,
    source_files,
    source_folder,
)
from geosurge_jax.importing.archives.members import error_text, problem_member, size_problem
from geosurge_jax.importing.archives.tar_entries import Entry, entries
from geosurge_jax.importing.archives.tar_parts import (
    compression,
    open_joined,
    parts_beside,
    tar_files,
    unpacked_name,
    whole_name,
)
from geosurge_jax.importing.file_names import name_problem, plain, shown
from geosurge_jax.input.image_files import file_skip_reason

_SHAPE = "tar"
_JSON = ".json"
_MAX_JSON_BYTES = 2**20


class _Sample(NamedTuple):
    """A photo, or a problem, and the JSON beside it.

    Attributes:
        begin: Offset of the first header of the two.
        photo: The photo's entry.
        values: The JSON's entry.
    """

    begin: int
    photo: Entry
    values: Entry | None


@dataclass(frozen=True)
class Tars:
    """A folder of tars, or one tar, or any part of one; positions of units are bytes of the whole tar.

    Of members with the same name all arrive, in order.

    Attributes:
        source: The folder or the file.
    """

    source: Path

    def contents(self, workdir: Path) -> Contents:
        """Cut the tars into units; headers alone are read, and only where a file has changed.

        Raises:
            ValueError: There are no tars or no photos in them, one is compressed, or a part is missing.
        """
        tars = self._tars()
        if not any(self._has_photo(parts) for parts in tars.values()):
            raise ValueError(
                f"{self.source}: no photos in {len(tars)} tars, expected members *.jpg (--source)"
            )
        files = [path for parts in tars.values() for path in parts]
        skipped: Counter[str] = Counter()
        spans = self._spans(tars, skipped)
        return indexed_contents(workdir, _SHAPE, self.source, files, spans, skipped)

    def read(self, unit: Unit) -> Iterator[Member]:
        """Read the photos of a unit in order; after damage, those behind it."""
        path = whole_name(unit.path)
        try:
            parts = parts_beside(source_folder(self.source) / unit.path)
            size = sum(part.stat().st_size for part in parts)
            with open_joined(parts) as file:
                for sample in _samples(entries(file, unit.start, unit.stop, size)):
                    yield _member(sample, file, path)
        except (OSError, ValueError) as error:
            problem = f"unreadable file: {error_text(error)}"
            yield problem_member(path, plain(path), problem)

    def _tars(self) -> dict[str, list[str]]:
        """The first file of each tar -> all its files."""
        files = source_files(self.source)
        if self.source.is_file():
            parts = [part.name for part in parts_beside(self.source)]
            tars = {parts[0]: parts}
        else:
            tars = tar_files(files)
            parts = {path for paths in tars.values() for path in paths}  # the 181st may be .gz
            others = (file for file in files if file not in parts)
            packed = [file for file in others if unpacked_name(file) not in ("", *tars)]
            if packed:
                raise _compressed(self.source / packed[0], "compressed")
        if not tars:
            raise ValueError(f"{self.source}: no files *.tar, expected tars of photos (--source)")
        check_readable(self.source, (path for parts in tars.values() for path in parts))
        for first in tars:
            path = source_folder(self.source) / first
            with path.open("rb") as file:
                found = compression(file.read(8))
            if found:
                raise _compressed(path, f"compressed by {found}")
        return tars

    def _spans(
        self, tars: dict[str, list[str]], skipped: Counter[str]
    ) -> Iterator[tuple[str, int, int]]:
        for first, parts in tars.items():
            with self._opened(parts) as (file, size):
                found = _samples(_counted(entries(file, 0, size, size), skipped))
                sizes = ((sample.begin, sample.photo.size) for sample in found)
                starts = [start for start, _ in cut_into_units(sizes)]
            for start, stop in zip(starts, [*starts[1:], size], strict=True):
                yield first, start, stop

    def _has_photo(self, parts: list[str]) -> bool:
        with self._opened(parts) as (file, size):
            return any(not s.photo.problem for s in _samples(entries(file, 0, size, size)))

    @contextlib.contextmanager
    def _opened(self, parts: list[str]) -> Iterator[tuple[BinaryIO, int]]:
        """A tar and its size in bytes."""
        paths = [source_folder(self.source) / part for part in parts]
        with open_joined(paths) as file:
            yield file, sum(path.stat().st_size for path in paths)


def _compressed(path: Path, how: str) -> ValueError:
    return ValueError(
        f"{path}: {how}, expected a plain tar; decompress it first, as none can be read from the middle "
        "(--source)"
    )


def _samples(found: Iterable[Entry]) -> Iterator[_Sample]:
    """Photos with the JSON that stands right before or behind them under the same key."""
    key: str | None = None
    begin = 0
    photo: Entry | None = None
    values: Entry | None = None
    for entry in found:
        suffix = _suffix(entry)
        if suffix is None:
            continue
        is_json = suffix == _JSON
        same = entry.name[: len(entry.name) - len(suffix)] == key
        if not same or (values if is_json else photo) is not None:
            if photo is not None:
                yield _Sample(begin, photo, values)
            photo = values = None
            key, begin = entry.name[: len(entry.name) - len(suffix)], entry.begin
        if is_json:
            values = entry
        else:
            photo = entry
    if photo is not None:
        yield _Sample(begin, photo, values)


def _counted(found: Iterable[Entry], skipped: Counter[str]) -> Iterator[Entry]:
    """Passes entries on and counts those that are neither images nor the JSON of one."""
    for entry in found:
        if _suffix(entry) is None:
            skipped[file_skip_reason(entry.name)] += 1
        yield entry


def _suffix(entry: Entry) -> str | None:
    """What follows the key in the name of a photo or of JSON; None for what is passed over."""
    if entry.problem:
        return ""
    if not file_skip_reason(entry.name) or entry.name.endswith(_JSON):
        return entry.name[entry.name.rindex(".") :]
    return None


def _member(sample: _Sample, file: BinaryIO, path: str) -> Member:
    """A photo with its values, or what is wrong with it."""
    photo = sample.photo
    name = photo.name or f"{path}-{photo.begin}"
    where = f"{plain(path)}, {plain(photo.name) or f'byte {photo.begin}'}"
    problem = photo.problem or name_problem(photo.name) or size_problem(photo.size)
    if problem:
        return problem_member(name, where, problem)
    values: dict[str, str] = {}
    if sample.values is not None:
        try:
            values = _values(file, sample.values)
        except (ValueError, RecursionError) as error:
            return problem_member(name, where, f"unreadable values: {error_text(error)}")
    file.seek(photo.offset)
    content = file.read(photo.size)
    if len(content) < photo.size:
        problem = (
            f"truncated archive: {shown(name)} has {photo.size} bytes, {len(content)} are there"
        )
        return problem_member(name, where, problem)
    return Member(name, content, where, values)


def _values(file: BinaryIO, entry: Entry) -> dict[str, str]:
    """The scalars of a JSON object as text, numbers as they are written there.

    Raises:
        ValueError: It is not UTF-8, not JSON, not an object, or too large.
        RecursionError: It is nested too deeply.
    """
    if entry.size > _MAX_JSON_BYTES:
        raise ValueError(f"{entry.size} bytes of JSON, expected at most {_MAX_JSON_BYTES}")
    file.seek(entry.offset)
    content = json.loads(file.read(entry.size), parse_float=str, parse_int=str, parse_constant=str)
    if not isinstance(content, dict):
        raise ValueError("JSON that is not an object")
    return {
        key: _text(value) for key, value in content.items() if not isinstance(value, list | dict)
    }


def _text(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value
