"""Records -> a finished dataset directory of ArrayRecord shards, made through TFDS.

The directory is what `tfds.builder_from_directory(path).as_data_source(...)` reads, plus
`manifest.json` and one `<split>-latlng.npy` a split (float64 [M, 2], in record order). Records keep
the order in which they are given; a reader that goes through shards one by one has to shuffle.
Everything is made in a hidden folder beside the final one and renamed when it is whole.
"""

import contextlib
import dataclasses
import fcntl
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data.progress import track
from data.shards import filename_template, record_features, write_shards
from geosurge_jax.input.manifest import (
    MANIFEST_FILE,
    DatasetError,
    Manifest,
    Shard,
    file_sha256,
    latlng_file,
    read_manifest,
    write_manifest,
)
from geosurge_jax.input.record import (
    SCENE_CATEGORIES,
    SCENE_GROUPS,
    SCENES,
    Record,
    scene_problem,
)

SHARD_BYTES = 200_000_000
"""A shard is closed once it holds this much."""

LIBRARIES = ("tensorflow-datasets", "array_record", "numpy", "pillow")
"""Versions kept in the manifest: what decides the bytes of the shards."""


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
    extra_files: Mapping[str, bytes] | None = None,
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
        extra_files: Further files to lie in the dataset directory, by name.
        shard_bytes: A shard is closed once it holds this much.

    Raises:
        ValueError: The name, the version or a record is not valid, a split has no records, or
            a finished dataset of another source is in the way. Nothing is left behind.
    """
    check_identity(name, version)
    if not splits:
        raise ValueError(f"dataset {name!r}: no splits, expected at least one")
    source = json.loads(json.dumps(source))
    final = Path(directory) / name / version
    final.parent.mkdir(parents=True, exist_ok=True)
    with only_one(final.parent):
        if finished_dataset(directory, name, version, source) is not None:
            return final
        hidden = final.parent / f".incomplete-{version}"
        shutil.rmtree(hidden, ignore_errors=True)
        built = hidden / version
        built.mkdir(parents=True)
        try:
            content = Manifest(
                name=name,
                version=version,
                splits={},
                latlng_sha256={},
                segmentation_classes=tuple(segmentation_classes),
                scenes=SCENES,
                scene_groups=SCENE_GROUPS,
                scene_categories=SCENE_CATEGORIES,
                source=source,
                description=description,
                licence=licence,
                libraries=library_versions(),
            )
            _write_splits(built, content, splits, shard_bytes)
            for file, extra in (extra_files or {}).items():
                (built / file).write_bytes(extra)
            os.rename(built, final)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    return final


def check_identity(name: str, version: str) -> None:
    """Raises ValueError where TFDS could not read a dataset of this name or version."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"dataset name {name!r}: expected lower case letters, digits, underscores")
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"dataset version {version!r}: expected major.minor.patch, as in 1.0.0")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide the bytes of the shards."""
    return {library: metadata.version(library) for library in LIBRARIES}


def finished_dataset(directory: str | Path, name: str, version: str, source: Any) -> Path | None:
    """The directory of a finished dataset of this source, None where there is nothing yet.

    Raises:
        ValueError: There is a dataset of another source.
    """
    final = Path(directory) / name / version
    if not final.exists():
        return None
    source = json.loads(json.dumps(source))
    found = read_manifest(final).source
    if found == source:
        return final
    raise DatasetError(
        f"{final / MANIFEST_FILE}: this dataset was made from another source "
        f"({source_difference(found, source)}); delete the directory, or choose another directory, "
        "name or version"
    )


def source_difference(found: Any, source: Any) -> str:
    """Two sources side by side in one line, of JSON objects the keys that differ."""
    if not (isinstance(found, dict) and isinstance(source, dict)):
        return f"{found!r}, now {source!r}"
    keys = sorted(key for key in {*found, *source} if found.get(key) != source.get(key))
    return "; ".join(f"{k}: {found.get(k)!r}, now {source.get(k)!r}" for k in keys)


def describe_dataset(
    directory: Path, manifest: Manifest, infos: Sequence[tfds.core.SplitInfo]
) -> None:
    """Write TFDS' metadata and last the manifest beside the shards and coordinates they tell of.

    Args:
        directory: Where the files lie.
        manifest: With its splits and digests filled in.
        infos: What TFDS wants to know of each split.
    """
    tfds.folder_dataset.write_metadata(
        data_dir=os.fspath(directory),
        features=record_features(),
        split_infos=[*infos],
        version=manifest.version,
        filename_template=filename_template(directory, manifest.name),
        check_data=False,
        description=manifest.description,
        license=manifest.licence,
        disable_shuffling=True,
    )
    write_manifest(directory, manifest)


def _write_splits(
    directory: Path,
    manifest: Manifest,
    splits: Mapping[str, Callable[[], Iterable[Record]]],
    shard_bytes: int,
) -> None:
    """Write shards, coordinates, TFDS' metadata and last the manifest, its splits filled in."""
    name = manifest.name
    infos, shards, digests = [], {}, {}
    for split, records in splits.items():
        tracked = track(records(), f"writing {name} {split}")
        info, latlng = write_shards(directory, name, split, _checked(split, tracked), shard_bytes)
        infos.append(info)
        np.save(directory / latlng_file(split), latlng)
        digests[split] = file_sha256(directory / latlng_file(split))
        shards[split] = tuple(
            Shard(file, records, (directory / file).stat().st_size, file_sha256(directory / file))
            for file, records in zip(sorted(info.filenames), info.shard_lengths, strict=True)
        )
    filled = dataclasses.replace(manifest, splits=shards, latlng_sha256=digests)
    describe_dataset(directory, filled, infos)


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


@contextlib.contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold an advisory lock on a directory; the system lets go of it when the process dies."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
