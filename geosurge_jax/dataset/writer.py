"""Records -> a finished dataset directory of ArrayRecord shards, made through TFDS.

The directory is what `tfds.builder_from_directory(path).as_data_source(...)` reads, plus
`manifest.json` and one `<split>-latlng.npy` a split (float64 [M, 2], in record order). Records keep
the order in which they are given; a reader that goes through shards one by one has to shuffle.
Everything is made in a hidden folder beside the final one and renamed when it is whole.
"""

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from geosurge_jax.dataset.directory import (
    check_name,
    finish_directory,
    finished_dataset,
    new_manifest,
    only_one,
)
from geosurge_jax.dataset.record import Record, scene_problem
from geosurge_jax.dataset.shards import WrittenSplit, write_shards
from geosurge_jax.progress import track

SHARD_BYTES = 200_000_000
"""A shard is closed once it holds this much."""


def write_dataset(
    directory: str | Path,
    name: str,
    version: str,
    splits: Mapping[str, Callable[[], Iterable[Record]]],
    segmentation_classes: Sequence[str],
    source: Any,
    description: str,
    licence: str,
    *,
    extra_files: Callable[[], Mapping[str, bytes]] | None = None,
    replace: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write all splits and return the finished dataset directory `<directory>/<name>/<version>`.

    A finished directory with an equal `source` is returned as it is. What a killed run left behind
    is cleared. Only one process builds a dataset at a time; the others wait and find it finished.
    The same records in the same order give the same bytes, with the same library versions.

    Args:
        directory: Where datasets lie.
        name: TFDS name: lower case letters, digits and underscores.
        version: `major.minor.patch`.
        splits: For each split a function that gives its records; called once. Where the
            iterable has a length, progress shows the time left.
        segmentation_classes: Class names in the order of the ids in the segmentation maps.
        source: JSON value that describes everything the records depend on.
        description: A sentence or two for people.
        licence: The terms the whole comes under.
        extra_files: Returns further files to lie in the dataset directory, by name; called when all records
            are written.
        replace: Whether a finished dataset of another source is replaced, once the new one is whole.
        shard_bytes: A shard is closed once it holds this much.

    Raises:
        ValueError: The name, the version or a record is not valid, a split has no records, or
            a finished dataset of another source is in the way. Nothing is left behind.
    """
    check_name(name, version)
    if not splits:
        raise ValueError(f"dataset {name!r}: no splits, expected at least one")
    final = Path(directory) / name / version
    final.parent.mkdir(parents=True, exist_ok=True)
    with only_one(final.parent):
        if not replace and finished_dataset(directory, name, version, source) is not None:
            return final
        hidden = final.parent / f".incomplete-{version}"
        shutil.rmtree(hidden, ignore_errors=True)
        built = hidden / version
        built.mkdir(parents=True)
        try:
            manifest = new_manifest(
                name, version, segmentation_classes, source, description, licence
            )
            written = {
                split: _write_split(built, name, split, records(), shard_bytes)
                for split, records in splits.items()
            }
            finish_directory(built, manifest, written)
            for file, extra in (extra_files() if extra_files else {}).items():
                (built / file).write_bytes(extra)
            if final.exists():
                os.rename(final, hidden / "replaced")
            os.rename(built, final)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    return final


def _write_split(
    directory: Path, name: str, split: str, records: Iterable[Record], shard_bytes: int
) -> WrittenSplit:
    tracked = track(records, f"writing {name} {split}")
    return write_shards(directory, name, split, _checked(split, tracked), shard_bytes)


def _checked(split: str, records: Iterable[Record]) -> Iterator[Record]:
    """Pass records on, refusing the first that breaks the promises of `Record`."""
    seen: set[str] = set()
    for record in records:
        _check_record(record, split, seen)
        yield record


def _check_record(record: Record, split: str, seen: set[str]) -> None:
    """Refuse a record that breaks the promises of `Record`, in one line that names its id."""
    latitude, longitude = record.latlng
    what = ""
    if not record.id:
        what = "id is empty"
    elif record.id in seen:
        what = "id is not unique in its split"
    elif not (math.isfinite(latitude) and abs(latitude) <= 90):
        what = f"latitude {latitude}, expected -90 to 90"
    elif not (math.isfinite(longitude) and -180 <= longitude < 180):
        what = f"longitude {longitude}, expected -180 to below 180"
    elif problem := scene_problem(record.scene):
        what = problem
    elif not _is_image(record.image):
        what = f"image starts with {record.image[:4]!r}, expected JPEG, PNG or WebP"
    elif record.segmentation is not None and not record.segmentation.startswith(b"\x89PNG"):
        what = f"segmentation starts with {record.segmentation[:4]!r}, expected PNG"
    if what:
        raise ValueError(f"record {record.id!r} of split {split!r}: {what}")
    seen.add(record.id)


def _is_image(content: bytes) -> bool:
    webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    return webp or content.startswith((b"\xff\xd8\xff", b"\x89PNG"))
