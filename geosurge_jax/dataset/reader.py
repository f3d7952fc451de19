"""A finished dataset directory, checked against its manifest, as random-access splits."""

import bisect
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from tensorflow_datasets.proto import tf_example_pb2

from geosurge_jax.dataset.manifest import (
    DatasetError,
    FeatureColumns,
    Manifest,
    Shard,
    file_sha256,
    latlng_file,
    read_manifest,
)

_Example = tf_example_pb2.Example  # pyright: ignore[reportAttributeAccessIssue]  (made at import)


class RecordSource:
    """The records of one split by position: what Grain calls a random-access source.

    An item is a dict with `image` and `segmentation` (encoded bytes), `latlng` (float64 [2]), `id`,
    `author`, `licence` (str) and `scene` (int32 [3]); of a dataset of features with their columns (bytes)
    in place of `image`. Reading is thread-safe.

    TFDS finds the shards and reads them; what it stored is taken apart here, since its own way from bytes to
    features holds the interpreter, and so all threads, three times as long.
    """

    def __init__(self, source: Sequence[bytes], photo_columns: Sequence[str] = ("image",)):
        self._source = source
        self._photo_columns = photo_columns

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        stored = _Example.FromString(self._source[index]).features.feature

        def content(field: str) -> bytes:
            return stored[field].bytes_list.value[0]

        return {
            **{name: content(name) for name in self._photo_columns},
            "segmentation": content("segmentation"),
            "latlng": np.frombuffer(content("latlng"), np.float64),
            "id": content("id").decode("utf-8"),
            "scene": np.fromiter(stored["scene"].int64_list.value, np.int32),
            "author": content("author").decode("utf-8"),
            "licence": content("licence").decode("utf-8"),
        }

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True)
class Split:
    """One split of a dataset.

    Attributes:
        name: As in the manifest: train, validation, test.
        records: Random access to undecoded records.
        latlng: Degrees, float64 [M, 2], in record order.
        shards: The files that hold the records, in order.
        features: What the records hold in place of photos; None = photos.
    """

    name: str
    records: RecordSource
    latlng: np.ndarray
    shards: tuple[Shard, ...]
    features: FeatureColumns | None = None

    def __len__(self) -> int:
        return len(self.records)

    def location(self, index: int) -> str:
        """Where record `index` lies: "shard file, index in shard"."""
        ends = list(accumulate(shard.records for shard in self.shards))
        shard = bisect.bisect_right(ends, index)
        start = ends[shard] - self.shards[shard].records
        return f"{self.shards[shard].file}, {index - start}"


@dataclass(frozen=True)
class Dataset:
    """A checked dataset directory.

    Attributes:
        directory: Where it lies.
        manifest: What it holds.
    """

    directory: Path
    manifest: Manifest

    def split(self, name: str) -> Split:
        """Open one split.

        Raises:
            DatasetError: There is no such split, or its coordinates do not fit its records.
        """
        if name not in self.manifest.splits:
            raise DatasetError(
                f"{self.directory}: no split {name!r}, expected one of "
                f"{', '.join(self.manifest.splits)} (config.data.source)"
            )
        builder = tfds.builder_from_directory(os.fspath(self.directory))
        read: Any = builder.as_data_source
        source = read(split=name, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
        latlng = np.load(self.directory / latlng_file(name))
        features = self.manifest.features
        columns = ("image",) if features is None else tuple(features.shapes)
        records = RecordSource(source, columns)
        return Split(name, records, latlng, self.manifest.splits[name], features)

    def check_photos(self, wanted_by: str) -> None:
        """Refuses a dataset whose records hold features.

        Raises:
            DatasetError: Names the flag or key that led here.
        """
        if self.manifest.features is not None:
            raise DatasetError(
                f"{self.directory}: records hold features of photos, expected photos ({wanted_by})"
            )


def open_dataset(directory: str | Path, *, verify: bool = False) -> Dataset:
    """Open a dataset directory after checking it against its manifest.

    Always checked: every shard is there, has the size and holds the number of records that the manifest
    names; coordinates have the SHA-256 that it names; TFDS' own description agrees. Shards are checked by
    their own checksums as they are read.

    Args:
        directory: A finished `<directory>/<name>/<version>`.
        verify: Also read every shard and compare its SHA-256.

    Raises:
        DatasetError: One line that names the file, what was found and what was expected.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    for shards in manifest.splits.values():
        for shard in shards:
            _check_shard(directory / shard.file, shard, verify)
    for split, digest in manifest.latlng_sha256.items():
        _check_latlng(directory / latlng_file(split), manifest.count(split), digest)
    _check_description(directory, manifest)
    return Dataset(directory, manifest)


def _check_shard(path: Path, shard: Shard, verify: bool) -> None:
    if not path.is_file():
        raise DatasetError(f"{path}: missing, expected {shard.size} bytes (config.data.source)")
    size = path.stat().st_size
    if size != shard.size:
        raise DatasetError(f"{path}: {size} bytes, expected {shard.size} (config.data.source)")
    if verify and file_sha256(path) != shard.sha256:
        raise DatasetError(
            f"{path}: SHA-256 {file_sha256(path)}, expected {shard.sha256} (config.data.source)"
        )
    try:
        reader = ArrayRecordReader(str(path))
        records = reader.num_records()
        reader.close()
    except (RuntimeError, ValueError, OSError) as error:
        raise DatasetError(
            f"{path}: not a readable ArrayRecord file ({' '.join(str(error).split())}), expected "
            f"{shard.records} records (config.data.source)"
        ) from None
    if records != shard.records:
        raise DatasetError(
            f"{path}: {records} records, expected {shard.records} (config.data.source)"
        )


def _check_latlng(path: Path, count: int, digest: str) -> None:
    expected = f"float64 [{count}, 2]"
    if not path.is_file():
        raise DatasetError(f"{path}: missing, expected {expected} (config.data.source)")
    try:
        latlng = np.load(path, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise DatasetError(f"{path}: {error}, expected {expected} (config.data.source)") from None
    if latlng.dtype != np.float64 or latlng.shape != (count, 2):
        raise DatasetError(
            f"{path}: {latlng.dtype} {list(latlng.shape)}, expected {expected} (config.data.source)"
        )
    # Geocells and scores rest on these few bytes, so a flipped bit must not pass.
    found = file_sha256(path)
    if found != digest:
        raise DatasetError(f"{path}: SHA-256 {found}, expected {digest} (config.data.source)")


def _check_description(directory: Path, manifest: Manifest) -> None:
    """TFDS reads by its own `dataset_info.json`; it has to tell the same counts."""
    path = directory / "dataset_info.json"
    if not path.is_file() or not (directory / "features.json").is_file():
        raise DatasetError(
            f"{directory}: dataset_info.json or features.json is missing, expected the files TFDS "
            "wrote (config.data.source)"
        )
    info = tfds.builder_from_directory(os.fspath(directory)).info
    found = {split: list(about.shard_lengths) for split, about in info.splits.items()}
    expected = {s: [shard.records for shard in shards] for s, shards in manifest.splits.items()}
    if (info.name, found) != (manifest.name, expected):
        raise DatasetError(
            f"{path}: {info.name} {found}, expected {manifest.name} {expected} (config.data.source)"
        )
