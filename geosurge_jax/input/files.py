"""Batches from plain photo files, for prediction: the same decoder, crops and masks."""

from collections.abc import Sequence
from pathlib import Path

from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.evaluation import EvaluationBatches, Views, batches_of, view_example
from geosurge_jax.input.examples import Example, photo_arrays, read_file


def file_batches(
    paths: Sequence[str | Path],
    views: Views,
    *,
    bad_records: BadRecords,
    segmentation_paths: Sequence[str | Path | None] | None = None,
) -> EvaluationBatches:
    """Batches of photo files in the given order, turned upright by their EXIF orientation.

    A file that cannot be read keeps its place with mask 0; `bad_records.found` says why. `latlng`
    is (0, 0) and `scene` (-1, -1, -1) for all.

    Args:
        paths: JPEG, PNG, WebP or another still picture that Pillow reads.
        views: How photos are looked at and shared among processes.
        bad_records: Where unreadable files are reported; total is `len(paths)`.
        segmentation_paths: For each photo its class map (PNG, one 8-bit channel, upright, the
            same field of view), or None.

    Raises:
        ValueError: Rows outside of the batch, another number of crops, or the number of class maps is
            another than that of photos.
        BadRecordsError: While iterating, when too many files are unreadable.
    """
    photos = [Path(path) for path in paths]
    maps = None
    if segmentation_paths is not None:
        maps = [None if path is None else Path(path) for path in segmentation_paths]
        if len(maps) != len(photos):
            raise ValueError(f"{len(maps)} segmentation maps, expected {len(photos)}, one a photo")

    def read(index: int) -> Example | None:
        return view_example(read_file(photos, maps, index, bad_records), views, index)

    return batches_of(
        len(photos),
        read,
        photo_arrays(views.framing.size, None),
        views,
        None,
        bad_records,
    )
