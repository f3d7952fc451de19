"""MessagePack shards: files of concatenated maps {"image": bytes, "id": text}.

The form in which GeoEstimation (Müller-Budack et al. 2018) prepares MP-16 and its followers keep it:
`shard_0.msg`, `shard_1.msg`, ... of 4096 photos each, written with keys as text or as bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgpack

from geosurge_jax.importing.archives.contract import Contents, Member, Unit
from geosurge_jax.importing.archives.files import (
    cut_into_units,
    files_ending,
    indexed_contents,
    source_folder,
)
from geosurge_jax.importing.archives.members import error_text, problem_member, size_problem
from geosurge_jax.importing.archives.message_pack_items import Item, items
from geosurge_jax.importing.file_names import decoded_name, name_problem, plain
from geosurge_jax.input.image_files import MAX_FILE_BYTES

_SHAPE = "message-pack"
_SUFFIXES = (".msg", ".msgpack")
_MAX_ITEM_BYTES = MAX_FILE_BYTES + 2**16


@dataclass(frozen=True)
class MessagePackShards:
    """A folder of shards, or one of them; positions of units are bytes.

    Attributes:
        source: The folder or the file.
    """

    source: Path

    def contents(self, workdir: Path) -> Contents:
        """Cut the shards into units; heads of items alone are read, and only where a file has changed.

        Raises:
            ValueError: There are no shards, or none of them begins with a map.
        """
        files = files_ending(self.source, _SUFFIXES, "MessagePack shards")
        if not any(_begins_with_item(source_folder(self.source) / file) for file in files):
            raise ValueError(
                f"{self.source}: none of {len(files)} files begins with a map, expected MessagePack of "
                "maps of image and id (--source)"
            )
        return indexed_contents(workdir, _SHAPE, self.source, files, self._spans(files), {})

    def read(self, unit: Unit) -> Iterator[Member]:
        """Read the photos of a unit; damage ends its shard, as nothing tells where the next item begins."""
        path = source_folder(self.source) / unit.path
        try:
            with path.open("rb") as file:
                for item in items(file, unit.start, unit.stop, path.stat().st_size):
                    yield _member(item, file, unit.path)
        except OSError as error:
            problem = f"unreadable file: {error_text(error)}"
            yield problem_member(unit.path, plain(unit.path), problem)

    def _spans(self, files: list[str]) -> Iterator[tuple[str, int, int]]:
        for name in files:
            path = source_folder(self.source) / name
            size = path.stat().st_size
            with path.open("rb") as file:
                found = items(file, 0, size, size)
                sizes = ((i.begin, 0 if i.problem else i.end - i.begin) for i in found)
                starts = [start for start, _ in cut_into_units(sizes)]
            for start, stop in zip(starts, [*starts[1:], size], strict=True):
                yield name, start, stop


def _begins_with_item(path: Path) -> bool:
    with path.open("rb") as file:
        return not next(items(file, 0, 1, path.stat().st_size)).problem


def _member(item: Item, file: BinaryIO, path: str) -> Member:
    """The photo of one item, or what is wrong with it."""
    where = f"{plain(path)}, byte {item.begin}"
    name = f"{path}-{item.begin}"
    if item.problem:
        return problem_member(name, where, item.problem)
    size = item.end - item.begin
    if size > _MAX_ITEM_BYTES:
        return problem_member(name, where, size_problem(size))
    file.seek(item.begin)
    try:
        content = msgpack.unpackb(file.read(size), raw=True, strict_map_key=False)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        return problem_member(name, where, f"unknown item: {error_text(error)}")
    image, key = content.get(b"image"), content.get(b"id")
    if not isinstance(image, bytes) or not isinstance(key, bytes):
        keys = plain(", ".join(str(key) for key in content))
        reason = f"unknown item: keys {keys or 'none'}, expected image and id, bytes and text"
        return problem_member(name, where, reason)
    name = decoded_name(key)
    problem = name_problem(name) or size_problem(len(image))
    if problem:
        return problem_member(name, where, problem)
    return Member(name, image, where, {})
