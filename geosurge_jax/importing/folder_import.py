"""Photos of a folder, checked and grouped, -> the records of a dataset, and a report of every file."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.command_end import NothingDoneError
from geosurge_jax.dataset.ade20k import CLASSES
from geosurge_jax.dataset.splits import assign_splits, group_digests, group_keys
from geosurge_jax.dataset.writer import write_dataset
from geosurge_jax.importing.folder_photos import FolderRecords
from geosurge_jax.importing.folder_rows import Photo, check_rows
from geosurge_jax.importing.folder_source import FolderSource, unused_sentence
from geosurge_jax.importing.folder_state import FILES_FILE, Memory, files_csv
from geosurge_jax.importing.image_checks import placeholders
from geosurge_jax.importing.near_copies import (
    NEAR_COPIES_FILE,
    Fingerprints,
    near_copies_csv,
    split_groups,
)
from geosurge_jax.importing.row_values import Rejection, rejections_csv, summary
from geosurge_jax.progress import track
from geosurge_jax.untrusted_text import printable, readable_file_name

REJECTED_FILE = "rejected.csv"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImportOptions:
    """How a folder is imported.

    Attributes:
        shares: share of each split.
        short_side: of a stored photo at most, in pixels; None = as it is.
        near_copy_bits: bits in which the perceptual hashes of near copies differ at most.
        threads: files that are read at a time.
    """

    shares: Mapping[str, float]
    short_side: int | None
    near_copy_bits: int
    threads: int


def import_folder(
    home: Path,
    opened: FolderSource,
    memory: Memory,
    description: Mapping[str, Any],
    options: ImportOptions,
) -> Path:
    """Checks all photos of a folder and writes the dataset, in the place of one that is there.

    Args:
        home: the dataset's directory, `<directory>/<name>/<version>`.
        opened: the folder.
        memory: contents of its files.
        description: JSON value of everything that the records depend on.
        options: how it is imported.

    Raises:
        ValueError: no row survives, or there are too few authors or places to fill the splits.
    """
    photos, rejections = _checked(opened, options.threads)
    keys = group_keys(np.array([p.latlng for p in photos]), [p.author for p in photos])
    groups, copies = split_groups(
        group_digests(keys), _fingerprints(photos), options.near_copy_bits, len(options.shares)
    )
    members = assign_splits(groups, options.shares)
    splits = {
        split: FolderRecords(
            [photo for photo, member in zip(photos, members, strict=True) if member == number],
            options.short_side,
            options.threads,
        )
        for number, split in enumerate(options.shares)
    }

    def beside() -> Mapping[str, bytes]:
        late = [failed for records in splits.values() for failed in records.failed]
        return {
            REJECTED_FILE: rejections_csv(sorted([*rejections, *late], key=lambda one: one.row)),
            NEAR_COPIES_FILE: near_copies_csv([photo.id for photo in photos], copies),
            FILES_FILE: files_csv(memory),
        }

    folder = opened.folder.resolve().name
    written = write_dataset(
        home.parent.parent,
        home.parent.name,
        home.name,
        {split: lambda records=records: records for split, records in splits.items()},
        CLASSES,
        description,
        f"{len(photos)} photos of the folder {folder}.",
        _licences(photos),
        extra_files=beside,
        replace=True,
    )
    _log.info("%s", copies.sentence())
    late = [failed for records in splits.values() for failed in records.failed]
    gone = {failed.file for failed in late}
    _report(
        written, opened, [p for p in photos if p.file not in gone], [*rejections, *late], splits
    )
    return written


def _fingerprints(photos: Sequence[Photo]) -> Fingerprints:
    return Fingerprints(
        np.array([photo.content_hash for photo in photos], np.uint64),
        np.array([photo.perceptual_hash or 0 for photo in photos], np.uint64),
        np.array([photo.perceptual_hash is not None for photo in photos], bool),
    )


def _checked(opened: FolderSource, threads: int) -> tuple[list[Photo], list[Rejection]]:
    photos, rejections = [], []
    rows = opened.rows
    results = check_rows(opened.files, rows, len(CLASSES), threads)
    for result in track(results, f"checking {opened.folder.resolve().name}", len(rows)):
        (photos if isinstance(result, Photo) else rejections).append(result)
    copies = placeholders([photo.content_hash for photo in photos])
    for photo, count in zip(photos, copies.tolist(), strict=True):
        if count:
            reason = f"placeholder: {count} photos have the same bytes"
            rejections.append(Rejection(photo.row, photo.id, photo.file, reason))
    photos = [photo for photo, count in zip(photos, copies.tolist(), strict=True) if not count]
    rejections.sort(key=lambda rejection: rejection.row)
    if not photos:
        first = rejections[0]
        raise NothingDoneError(
            f"{opened.folder}: none of {len(rows)} rows survived ({summary(rejections)}); row "
            f"{first.row} ({printable(readable_file_name(first.file))}): {first.reason} "
            "(config.data.source, --source)"
        )
    return photos, rejections


def _report(
    written: Path,
    opened: FolderSource,
    photos: Sequence[Photo],
    rejections: Sequence[Rejection],
    splits: Mapping[str, FolderRecords],
) -> None:
    kept = ", ".join(
        f"{len(records) - len(records.failed)} {split}" for split, records in splits.items()
    )
    _log.info("%s: %d photos (%s)", written, len(photos), kept)
    if rejections:
        _log.warning(
            "%d of %d rows rejected (%s): see %s",
            *(len(rejections), len(opened.rows), summary(rejections), written / REJECTED_FILE),
        )
    unused = opened.unused_tables(photos)
    if unused:
        _log.warning("%s", unused_sentence(unused))
    _log.info("%s", opened.closing_line(photos, rejections))


def _licences(photos: Sequence[Photo]) -> str:
    counts = Counter(photo.licence or "not stated" for photo in photos)
    return "; ".join(f"{count} photos: {licence}" for licence, count in counts.most_common())
