"""The directory of a dataset: who may write it, whether it is finished, what makes it so."""

import contextlib
import dataclasses
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from geosurge_jax.dataset.manifest import (
    MANIFEST_FILE,
    DatasetError,
    FeatureColumns,
    Manifest,
    file_sha256,
    latlng_file,
    read_manifest,
    write_manifest,
)
from geosurge_jax.dataset.record import SCENE_CATEGORIES, SCENE_GROUPS, SCENES
from geosurge_jax.dataset.shards import WrittenSplit, record_features

LIBRARIES = ("tensorflow-datasets", "array_record", "numpy", "pillow")
"""Versions kept in the manifest: what decides the bytes of the shards."""


def check_name(name: str, version: str) -> None:
    """Refuses what TFDS would not take as name and version.

    Raises:
        ValueError: Says what is expected.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"dataset name {name!r}: expected lower case letters, digits, underscores")
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"dataset version {version!r}: expected major.minor.patch, as in 1.0.0")


def new_manifest(
    name: str,
    version: str,
    segmentation_classes: Sequence[str],
    source: Any,
    description: str,
    licence: str,
    features: FeatureColumns | None = None,
    summary: Mapping[str, Any] | None = None,
) -> Manifest:
    """The manifest of a dataset of which no split is written yet."""
    return Manifest(
        name=name,
        version=version,
        splits={},
        latlng_sha256={},
        segmentation_classes=tuple(segmentation_classes),
        scenes=SCENES,
        scene_groups=SCENE_GROUPS,
        scene_categories=SCENE_CATEGORIES,
        source=json.loads(json.dumps(source)),
        description=description,
        licence=licence,
        libraries={library: metadata.version(library) for library in LIBRARIES},
        features=features,
        summary=summary or {},
    )


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


def finish_directory(
    directory: Path, manifest: Manifest, splits: Mapping[str, WrittenSplit]
) -> None:
    """Write coordinates, TFDS' metadata and last the manifest, beside shards that are all there."""
    infos, digests = [], {}
    for split, written in splits.items():
        np.save(directory / latlng_file(split), written.latlng)
        digests[split] = file_sha256(directory / latlng_file(split))
        infos.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[shard.records for shard in written.shards],
                num_bytes=written.content_bytes,
                filename_template=_filename_template(directory, manifest.name).replace(split=split),
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=os.fspath(directory),
        features=record_features(manifest.features),
        split_infos=infos,
        version=manifest.version,
        filename_template=_filename_template(directory, manifest.name),
        check_data=False,
        description=manifest.description,
        license=manifest.licence,
        disable_shuffling=True,
    )
    shards = {split: written.shards for split, written in splits.items()}
    write_manifest(directory, dataclasses.replace(manifest, splits=shards, latlng_sha256=digests))


def _filename_template(directory: Path, name: str) -> tfds.core.ShardedFileTemplate:
    """Of the names that `shard_file` gives."""
    return tfds.core.ShardedFileTemplate(
        data_dir=directory,  # pyright: ignore[reportArgumentType]  (takes any path)
        dataset_name=name,
        filetype_suffix="array_record",
    )


@contextlib.contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold an advisory lock on a directory; the system lets go of it when the process dies."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
