"""One split of records -> ArrayRecord shards that TFDS reads, written while the records come.

TFDS' features encode the records and its metadata describes them, but its `GeneratorBasedBuilder`
does not write them, for three reasons: it leaves the order of the features to a hash table seeded
anew in each process, so that no two builds have the same bytes; it holds a split in memory and,
above 1 GB, needs TensorFlow to shuffle it; and outside a script it needs a package that it does not
declare. Here records keep their order and each is serialised deterministically.
"""

import os
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.proto import tf_example_pb2

from geosurge_jax.dataset.manifest import FeatureColumns, Shard, file_sha256
from geosurge_jax.dataset.record import NO_MAP, SCENE_COUNTS, Record

_Example = tf_example_pb2.Example  # pyright: ignore[reportAttributeAccessIssue]  (made at import)


# What TFDS knows of a type of stored features: of bfloat16 only the bits.
_STORED_TYPES = {"float32": np.float32, "bfloat16": np.uint16}


def record_features(features: FeatureColumns | None = None) -> tfds.features.FeaturesDict:
    """The features of a record; `latlng` as bytes, or TFDS would store it as float32.

    Args:
        features: What the record holds in place of a photo.
    """
    photo: dict[str, Any] = {"image": tfds.features.Image(shape=(None, None, 3))}
    if features is not None:
        photo = {
            name: tfds.features.Tensor(
                shape=shape,
                dtype=_STORED_TYPES[features.dtype],
                encoding=tfds.features.Encoding.BYTES,
            )
            for name, shape in features.shapes.items()
        }
    return tfds.features.FeaturesDict(
        {
            **photo,
            "segmentation": tfds.features.Image(shape=(None, None, 1)),
            "latlng": tfds.features.Tensor(
                shape=(2,), dtype=np.float64, encoding=tfds.features.Encoding.BYTES
            ),
            "id": tfds.features.Text(),
            "scene": tfds.features.Tensor(shape=(len(SCENE_COUNTS),), dtype=np.int32),
            "author": tfds.features.Text(),
            "licence": tfds.features.Text(),
        }
    )


@dataclass(frozen=True)
class WrittenSplit:
    """The shards of a split, all of them written.

    Attributes:
        shards: In record order.
        content_bytes: Of all serialised records together.
        latlng: Degrees, float64 [M, 2], in record order.
    """

    shards: tuple[Shard, ...]
    content_bytes: int
    latlng: np.ndarray


def shard_file(name: str, split: str, index: int, count: int) -> str:
    """TFDS' usual file name: `<name>-<split>.array_record-00000-of-00001`."""
    return f"{name}-{split}.array_record-{index:05d}-of-{count:05d}"


def finished_shard(path: Path, records: int) -> Shard:
    """What the manifest says of a file with so many records."""
    return Shard(path.name, records, path.stat().st_size, file_sha256(path))


class _ShardFiles:
    """The shards of one split under passing names, until their number is known."""

    def __init__(self, directory: Path, shard_bytes: int):
        self._directory = directory
        self._shard_bytes = shard_bytes
        self._writer: ArrayRecordWriter | None = None
        self._written = 0
        self.lengths: list[int] = []
        self.total = 0

    def path(self, index: int) -> Path:
        return self._directory / f".shard-{index}"

    def write(self, content: bytes) -> None:
        writer = self._writer
        if writer is None:
            writer = ArrayRecordWriter(str(self.path(len(self.lengths))), "group_size:1")
            self._writer = writer
            self._written = 0
            self.lengths.append(0)
        writer.write(content)
        self.lengths[-1] += 1
        self._written += len(content)
        self.total += len(content)
        if self._written >= self._shard_bytes:
            self.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def serialized(record: Record) -> bytes:
    """The bytes of a record in a shard; the same record gives the same bytes.

    They are those of `record_features().serialize_example`, serialised deterministically, at a tenth of the
    time.
    """
    example = _Example()
    feature = example.features.feature
    segmentation = NO_MAP if record.segmentation is None else record.segmentation
    feature["image"].bytes_list.value.append(record.image)
    feature["segmentation"].bytes_list.value.append(segmentation)
    feature["latlng"].bytes_list.value.append(np.array(record.latlng, np.float64).tobytes())
    feature["id"].bytes_list.value.append(record.id.encode())
    feature["scene"].int64_list.value.extend(record.scene)
    feature["author"].bytes_list.value.append(record.author.encode())
    feature["licence"].bytes_list.value.append(record.licence.encode())
    return example.SerializeToString(deterministic=True)


class StoredRecord:
    """One record as its shard holds it, of which some fields can be set and all others stay.

    Attributes:
        id: Unique within its split.
        image: The encoded photo.
        segmentation: Its class map, a PNG.
    """

    def __init__(self, content: bytes):
        self._example = _Example.FromString(content)
        self.id: str = self._bytes("id").decode("utf-8")
        self.image: bytes = self._bytes("image")
        self.segmentation: bytes = self._bytes("segmentation")

    def with_segmentation(self, segmentation: bytes | None) -> bytes:
        """The content with another class map; None = no map."""
        values = self._example.features.feature["segmentation"].bytes_list.value
        values[0] = NO_MAP if segmentation is None else segmentation
        return self._example.SerializeToString(deterministic=True)

    def with_features(self, columns: Mapping[str, bytes], segmentation: bytes) -> bytes:
        """The content with features in place of the photo, and the class map that goes with them."""
        stored = self._example.features.feature
        del stored["image"]
        for name, content in columns.items():
            stored[name].bytes_list.value.append(content)
        return self.with_segmentation(segmentation)

    def _bytes(self, field: str) -> bytes:
        return self._example.features.feature[field].bytes_list.value[0]


def write_shards(
    directory: Path, name: str, split: str, records: Iterable[Record], shard_bytes: int
) -> WrittenSplit:
    """Write one split.

    Raises:
        ValueError: There are no records.
    """
    shards = _ShardFiles(directory, shard_bytes)
    latlng = array("d")
    try:
        for record in records:
            shards.write(serialized(record))
            latlng.extend(record.latlng)
    finally:
        shards.close()
    if not latlng:
        raise ValueError(f"split {split!r} of dataset {name!r}: no records, expected at least one")
    count, written = len(shards.lengths), []
    for index, records_in_it in enumerate(shards.lengths):
        final = directory / shard_file(name, split, index, count)
        os.rename(shards.path(index), final)
        written.append(finished_shard(final, records_in_it))
    return WrittenSplit(tuple(written), shards.total, np.array(latlng, np.float64).reshape(-1, 2))
