"""A chunk: the records of one unit, serialised, in the order in which shards want them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from geosurge_jax.dataset.splits import group_digests, group_keys
from geosurge_jax.importing.files import replaced
from geosurge_jax.importing.row_values import Rejection


@dataclass(frozen=True)
class ChunkIndex:
    """What is known of the records of chunks, N of them, without reading them.

    Attributes:
        order: Place in the shuffled data set: ascending, uint64 [N].
        key: Of the id, uint64 [N].
        identity: UTF-8 bytes of the id, [N].
        outer: Outer folders of the path that the table does not know, int16 [N].
        group: Author or place that splits do not tear apart, uint64 [N].
        content: Of the file as it lay in the archive, uint64 [N].
        perceptual: Perceptual hash, uint64 [N].
        hashed: Whether an image has a perceptual hash; flat images have none, bool [N].
        latlng: Degrees, float64 [N, 2].
        offset: Of the record in the chunk's file, int64 [N].
        size: Bytes of the record, int64 [N].
    """

    order: np.ndarray
    key: np.ndarray
    identity: np.ndarray
    outer: np.ndarray
    group: np.ndarray
    content: np.ndarray
    perceptual: np.ndarray
    hashed: np.ndarray
    latlng: np.ndarray
    offset: np.ndarray
    size: np.ndarray

    def __len__(self) -> int:
        return len(self.order)

    def taken(self, index: np.ndarray) -> "ChunkIndex":
        """The entries at `index`, int64 [M] or bool [N]."""
        return ChunkIndex(*(vars(self)[part.name][index] for part in fields(self)))


@dataclass(frozen=True)
class ChunkRecord:
    """A record on its way into a chunk; see `ChunkIndex`. An empty author is an unknown one."""

    order: int
    key: int
    identity: str
    outer: int
    author: str
    content: int
    perceptual: int | None
    latlng: tuple[float, float]
    serialized: bytes


def shuffled_order(seed: int, identity: str) -> int:
    """Where a photo stands in the data set shuffled by `seed`, whatever else is in it."""
    key = seed.to_bytes(8, "big", signed=True)
    return int.from_bytes(
        hashlib.blake2b(identity.encode(), digest_size=8, key=key).digest(), "big"
    )


def records_file(directory: Path, unit: str) -> Path:
    """Where the records of a unit lie."""
    return directory / f"{unit}.records"


def index_file(directory: Path, unit: str) -> Path:
    """The last file of a chunk that is written: with it the chunk is whole."""
    return directory / f"{unit}.npz"


def _rejections_file(directory: Path, unit: str) -> Path:
    return directory / f"{unit}.rejected.json"


def write_chunk(
    directory: Path, unit: str, records: Sequence[ChunkRecord], rejections: Sequence[Rejection]
) -> None:
    """Writes records, rejections and last the index, each of them whole or not at all."""
    ordered = sorted(records, key=lambda record: (record.order, record.identity))
    sizes = np.array([len(record.serialized) for record in ordered], np.int64)
    latlng = np.array([record.latlng for record in ordered], np.float64).reshape(-1, 2)
    with replaced(records_file(directory, unit)) as passing, passing.open("wb") as file:
        for record in ordered:
            file.write(record.serialized)
    with replaced(_rejections_file(directory, unit)) as passing:
        listed = [(r.row, r.id, r.file, r.reason) for r in rejections]
        passing.write_text(json.dumps(listed))
    index = ChunkIndex(
        order=np.array([record.order for record in ordered], np.uint64),
        key=np.array([record.key for record in ordered], np.uint64),
        identity=np.array([record.identity.encode() for record in ordered], np.bytes_),
        outer=np.array([record.outer for record in ordered], np.int16),
        group=group_digests(group_keys(latlng, [record.author for record in ordered])),
        content=np.array([record.content for record in ordered], np.uint64),
        perceptual=np.array([record.perceptual or 0 for record in ordered], np.uint64),
        hashed=np.array([record.perceptual is not None for record in ordered], bool),
        latlng=latlng,
        offset=np.cumsum(sizes) - sizes,
        size=sizes,
    )
    with replaced(index_file(directory, unit)) as passing, passing.open("wb") as file:
        np.savez(file, **vars(index))


def read_index(directory: Path, unit: str) -> ChunkIndex:
    """The index of a whole chunk."""
    with np.load(index_file(directory, unit)) as stored:
        return ChunkIndex(**{part.name: stored[part.name] for part in fields(ChunkIndex)})


def read_rejections(directory: Path, unit: str) -> list[Rejection]:
    """What was rejected of a whole chunk, in the order of the archive."""
    listed = json.loads(_rejections_file(directory, unit).read_text())
    return [Rejection(*entry) for entry in listed]
