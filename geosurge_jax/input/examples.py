"""One record -> one example of a batch; an unreadable record keeps its place with mask 0."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from geosurge_jax.dataset.manifest import FeatureColumns
from geosurge_jax.dataset.reader import Split
from geosurge_jax.dataset.record import NO_SCENES, UNKNOWN_CLASS, scene_problem
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.geometry import Framing
from geosurge_jax.input.images import (
    ImageDecodeError,
    Photo,
    decode_class_map,
    open_photo,
)
from geosurge_jax.input.views import cut_views

Example = dict[str, Any]
"""Host arrays of one example, keys as in a batch; `latlng` still float64."""

Targets = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""What a system wants of the coordinates of a batch: latlng float64 [B, 2] -> arrays [B, ...]."""

PADDING = -1
"""Index of an example that only fills up the last batch."""


PhotoArrays = Mapping[str, tuple[tuple[int, ...], Any]]
"""Shape and type of what a photo is in a batch, by key."""

Decoded = TypeVar("Decoded")


@dataclass(frozen=True)
class DecodedRecord:
    """A record after decoding.

    Attributes:
        pixels: uint8 [H, W, 3].
        class_map: uint8 [h, w], any size, 255 = unknown.
        latlng: Degrees, (0, 0) where it is not known (plain files).
        scene: Index in each of Places365's 3, 16 and 365 scenes, -1 = unknown.
    """

    pixels: np.ndarray
    class_map: np.ndarray
    latlng: tuple[float, float]
    scene: tuple[int, ...]


@dataclass(frozen=True)
class OpenRecord:
    """A record of which all is known but the photo's pixels.

    Attributes:
        photo: Decoded when asked for, which may raise ImageDecodeError.
        class_map: uint8 [h, w], any size, 255 = unknown.
        latlng: Degrees, (0, 0) where it is not known (plain files).
        scene: Index in each of Places365's 3, 16 and 365 scenes, -1 = unknown.
    """

    photo: Photo
    class_map: np.ndarray
    latlng: tuple[float, float]
    scene: tuple[int, ...]


def open_record(split: Split, index: int, bad_records: BadRecords) -> OpenRecord | None:
    """Read one record of a split; None, after a report, where that fails."""
    return parsed(split, index, bad_records, _open_record)


def parsed(
    split: Split,
    index: int,
    bad_records: BadRecords,
    parse: Callable[[Mapping[str, Any]], Decoded],
) -> Decoded | None:
    """What `parse` makes of one record of a split; None, after a report, where that fails."""
    try:
        record = split.records[index]
    except Exception as error:  # whatever damage in a shard makes its readers raise
        bad_records.report(index, split.location(index), _one_line(error))
        return None
    if not np.array_equal(record["latlng"], split.latlng[index], equal_nan=True):
        reason = f"coordinates {_pair(record['latlng'])}, expected {_pair(split.latlng[index])}"
        bad_records.report(index, split.location(index), reason)
        return None
    return unless_damaged(split, index, bad_records, lambda: parse(record))


def _pair(latlng: np.ndarray) -> str:
    return ", ".join(str(degrees) for degrees in np.asarray(latlng).tolist())


def read_record(split: Split, index: int, bad_records: BadRecords) -> DecodedRecord | None:
    """Read and decode one record of a split; None, after a report, where that fails."""
    record = open_record(split, index, bad_records)
    if record is None:
        return None
    pixels = unless_damaged(split, index, bad_records, record.photo.pixels)
    if pixels is None:
        return None
    return DecodedRecord(pixels, record.class_map, record.latlng, record.scene)


def unless_damaged(
    split: Split, index: int, bad_records: BadRecords, decode: Callable[[], Decoded]
) -> Decoded | None:
    """What `decode` gives; None, after a report, where it cannot."""
    try:
        return decode()
    except ImageDecodeError as error:
        bad_records.report(index, split.location(index), _one_line(error))
        return None


def evaluation_views(
    record: DecodedRecord, crops: int, framing: Framing
) -> tuple[np.ndarray, np.ndarray]:
    """The crops of a test-time protocol out of the resized photo and class map.

    The photo is resized as a whole and whole pixels are cut out, as the processors that towers were
    trained with do it.

    Returns:
        uint8 [C, size, size, 3] and [C, size, size].
    """
    size = record.pixels.shape[:2]
    return (
        cut_views(record.pixels, size, crops, framing),
        cut_views(record.class_map, size, crops, framing),
    )


def example(
    arrays: Mapping[str, np.ndarray],
    latlng: tuple[float, float],
    scene: Sequence[int],
    index: int,
) -> Example:
    """One readable example; `arrays` are what its photo is in a batch."""
    return {
        **arrays,
        "latlng": np.array(latlng, np.float64),
        "index": np.int32(index),
        "mask": np.float32(1),
        "scene": np.array(scene, np.int32),
    }


def photo_arrays(size: int, features: FeatureColumns | None) -> PhotoArrays:
    """What a photo is in a batch.

    Args:
        size: Side of the square in pixels.
        features: Where records hold features in place of photos.
    """
    photo = {"image": ((size, size, 3), np.uint8)}
    if features is not None:
        photo = {name: (shape, feature_type(features)) for name, shape in features.shapes.items()}
    return {**photo, "segmentation": ((size, size), np.uint8)}


def feature_type(features: FeatureColumns) -> np.dtype:
    """NumPy's type of stored features; bfloat16 is JAX's."""
    return jnp.dtype(features.dtype)


def masked_example(photo: PhotoArrays, crops: int, index: int) -> Example:
    """An example that counts for nothing: black, no class known, at (0, 0), mask 0.

    Args:
        photo: What a photo is in a batch.
        crops: C, views of it.
        index: Of the unreadable record, or `PADDING`.
    """
    views = masked_batch(crops, photo)
    one = masked_batch(1, {})
    return {
        **{name: views[name] for name in photo},
        **{name: value[0] for name, value in one.items()},
        "index": np.int32(index),
    }


def masked_batch(count: int, photo: PhotoArrays) -> Example:
    """As many masked examples as a batch has rows, to be filled in one by one."""
    batch = {name: np.zeros((count, *shape), kind) for name, (shape, kind) in photo.items()}
    if "segmentation" in batch:
        batch["segmentation"][:] = UNKNOWN_CLASS
    return {
        **batch,
        "latlng": np.zeros((count, 2), np.float64),
        "index": np.full(count, PADDING, np.int32),
        "mask": np.zeros(count, np.float32),
        "scene": np.tile(np.array(NO_SCENES, np.int32), (count, 1)),
    }


def finish_batch(batch: Example, targets: Targets | None, bad_records: BadRecords) -> Example:
    """Add the targets, turn the coordinates into float32, stop where too much is unreadable.

    Raises:
        BadRecordsError: See `BadRecords.check`.
    """
    bad_records.check()
    added = targets(batch["latlng"]) if targets is not None else {}
    return {**batch, "latlng": batch["latlng"].astype(np.float32), **added}


def _open_record(record: Mapping[str, Any]) -> OpenRecord:
    latlng, scene = place_and_scene(record)
    photo = open_photo(record["image"])
    class_map = decode_class_map(record["segmentation"])
    return OpenRecord(photo, class_map, latlng, scene)


def place_and_scene(record: Mapping[str, Any]) -> tuple[tuple[float, float], tuple[int, ...]]:
    """Where a photo was taken, in degrees, and the scenes it shows.

    Raises:
        ImageDecodeError: A value is out of range.
    """
    latitude, longitude = (float(value) for value in record["latlng"])
    if not (math.isfinite(latitude) and abs(latitude) <= 90):
        raise ImageDecodeError(f"latitude {latitude}, expected -90 to 90")
    if not (math.isfinite(longitude) and -180 <= longitude < 180):
        raise ImageDecodeError(f"longitude {longitude}, expected -180 to below 180")
    scene = tuple(int(index) for index in record["scene"])
    if problem := scene_problem(scene):
        raise ImageDecodeError(problem)
    return (latitude, longitude), scene


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
