"""One split of records -> ArrayRecord shards that TFDS reads, written while the records come.

TFDS' features encode the records and its metadata describes them, but its `GeneratorBasedBuilder`
does not write them, for three reasons: it leaves the order of the features to a hash table seeded
anew in each process, so that no two builds have the same bytes; it holds a split in memory and,
above 1 GB, needs TensorFlow to shuffle it; and outside a script it needs a package that it does not
declare. Here records keep their order and each is serialised deterministically.
"""

import os
from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.proto import tf_example_pb2

from geosurge_jax.input.record import NO_MAP, SCENE_COUNTS, Record

_Example = tf_example_pb2.Example  # pyright: ignore[reportAttributeAccessIssue]  (made at import)


def record_features() -> tfds.features.FeaturesDict:
    """The features of a record; `latlng` as bytes, or TFDS would store it as float32."""
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3)),
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


def filename_template(directory: Path, name: str) -> tfds.core.ShardedFileTemplate:
    """TFDS' usual file names: `<name>-<split>.array_record-00000-of-00001`."""
    return tfds.core.ShardedFileTemplate(
        data_dir=directory,  # pyright: ignore[reportArgumentType]  (takes any path)
        dataset_name=name,
        filetype_suffix="array_record",
    )


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


def write_shards(
    directory: Path, name: str, split: str, records: Iterable[Record], shard_bytes: int
) -> tuple[tfds.core.SplitInfo, np.ndarray]:
    """Write one split and return what TFDS wants to know of it, and its latlng, float64 [M, 2].

    Raises:
        ValueError: There are no records.
    """
    features = record_features()
    shards = _ShardFiles(directory, shard_bytes)
    latlng = array("d")
    try:
        for record in records:
            example = {
                "image": record.image,
                "segmentation": NO_MAP if record.segmentation is None else record.segmentation,
                "latlng": np.array(record.latlng, np.float64),
                "id": record.id,
                "scene": np.array(record.scene, np.int32),
                "author": record.author,
                "licence": record.licence,
            }
            message = _Example.FromString(features.serialize_example(example))
            shards.write(message.SerializeToString(deterministic=True))
            latlng.extend(record.latlng)
    finally:
        shards.close()
    if not latlng:
        raise ValueError(f"split {split!r} of dataset {name!r}: no records, expected at least one")
    template = filename_template(directory, name).replace(split=split)
    for index in range(len(shards.lengths)):
        final = template.sharded_filepath(shard_index=index, num_shards=len(shards.lengths))
        os.rename(shards.path(index), os.fspath(final))
    info = tfds.core.SplitInfo(
        name=split,
        shard_lengths=shards.lengths,
        num_bytes=shards.total,
        filename_template=template,
    )
    return info, np.array(latlng, np.float64).reshape(-1, 2)
