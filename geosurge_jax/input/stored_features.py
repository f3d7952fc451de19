"""Records that hold features of photos in place of photos: as they were made, without any augmentation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from geosurge_jax.dataset.manifest import FeatureColumns
from geosurge_jax.dataset.reader import Split
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.examples import (
    Example,
    PhotoArrays,
    example,
    parsed,
    photo_arrays,
    place_and_scene,
)
from geosurge_jax.input.images import ImageDecodeError, decode_class_map


class _Kept(NamedTuple):
    """A record of features.

    Attributes:
        arrays: What its photo is in a batch, by key.
        latlng: Degrees.
        scene: Index in each of Places365's 3, 16 and 365 scenes, -1 = unknown.
    """

    arrays: dict[str, np.ndarray]
    latlng: tuple[float, float]
    scene: tuple[int, ...]


def feature_example(
    split: Split, features: FeatureColumns, index: int, bad_records: BadRecords
) -> Example | None:
    """The example of a record, with one view; None, after a report, where it cannot be read."""
    kept = _kept(split, photo_arrays(features.image_size, features), index, bad_records)
    if kept is None:
        return None
    views = {name: value[None] for name, value in kept.arrays.items()}
    return example(views, kept.latlng, kept.scene, index)


def fill_features(
    batch: Example,
    start: int,
    indexes: Sequence[int],
    split: Split,
    features: FeatureColumns,
    bad_records: BadRecords,
) -> None:
    """Copy records into the rows of a batch from `start` on."""
    photo = photo_arrays(features.image_size, features)
    batch["index"][start : start + len(indexes)] = indexes
    for row, index in enumerate(indexes, start):
        kept = _kept(split, photo, index, bad_records)
        if kept is None:
            continue
        for name, value in kept.arrays.items():
            batch[name][row] = value
        batch["latlng"][row], batch["scene"][row] = kept.latlng, kept.scene
        batch["mask"][row] = 1


def _kept(split: Split, photo: PhotoArrays, index: int, bad_records: BadRecords) -> _Kept | None:
    def parse(record: Mapping[str, Any]) -> _Kept:
        latlng, scene = place_and_scene(record)
        arrays = {
            name: _array(name, record[name], *photo[name])
            for name in photo
            if name != "segmentation"
        }
        class_map, (shape, _) = decode_class_map(record["segmentation"]), photo["segmentation"]
        if class_map.shape != shape:
            raise ImageDecodeError(f"class map {list(class_map.shape)}, expected {list(shape)}")
        return _Kept({**arrays, "segmentation": class_map}, latlng, scene)

    return parsed(split, index, bad_records, parse)


def _array(name: str, content: bytes, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    if not content:
        raise ImageDecodeError("no features: the photo could not be read when they were made")
    size = int(np.prod(shape)) * kind.itemsize
    if len(content) != size:
        raise ImageDecodeError(f"{name}: {len(content)} bytes, expected {size}")
    return np.frombuffer(content, kind).reshape(shape)
