"""Any folder of photos, with a table or with EXIF positions -> a dataset.

    python -m data.folder --source DIR --out DIR [--table metadata.csv] [--latitude-column NAME ...]

Every row is checked; what does not pass is named in `rejected.csv` inside the dataset. Photos are
turned upright and lose their metadata: losslessly where they are upright JPEG, PNG or WebP
already, else coded anew as JPEG of quality 95. Authors and places are not torn apart by splits.
"""

import argparse
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.dataset.ade20k import CLASSES
from geosurge_jax.dataset.directory import finished_dataset
from geosurge_jax.dataset.splits import assign_splits, check_fractions, group_digests, group_keys
from geosurge_jax.dataset.writer import write_dataset
from geosurge_jax.importing.folder_photos import FolderRecords
from geosurge_jax.importing.folder_rows import (
    Photo,
    check_rows,
    photo_files,
    photo_path,
)
from geosurge_jax.importing.row_values import Rejection, rejections_csv, summary
from geosurge_jax.importing.table import KNOWN_NAMES, Row, open_table
from geosurge_jax.progress import track

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.geojson", "metadata.parquet")
"""Tables that are found by themselves; another is named by `--table`."""

REJECTED_FILE = "rejected.csv"
IMPORTER = 2
"""Raised when the same folder would give other records."""
VERSION = "2.0.0"
"""Of a dataset where none is asked for; its first number is the format of the records."""

_log = logging.getLogger(__name__)


def prepare(
    directory: str | Path,
    source: str | Path,
    *,
    name: str | None = None,
    version: str = VERSION,
    table: str | None = None,
    columns: Mapping[str, str] | None = None,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    short_side: int | None = None,
    threads: int = 4,
) -> Path:
    """Import a folder of photos and return the finished dataset directory.

    A finished dataset of the same folder (table, names and sizes of files, options) is returned as
    it is, without reading the photos again.

    Args:
        directory: Where datasets lie.
        source: The folder of photos.
        name: Of the dataset; None = the folder's name in lower case letters, digits, underscores.
        version: Of the dataset, `major.minor.patch`.
        table: A CSV, JSONL, GeoJSON or Parquet file, relative to `source`; None = the first of
            `TABLES` that exists, else the photos' EXIF positions.
        columns: Role (a key of `KNOWN_NAMES`) -> column, where names are not recognised.
        fractions: Shares of train, validation and test.
        short_side: Photos with a longer short side are made smaller and coded anew.
        threads: Files that are read at a time.

    Raises:
        ValueError: The folder, the table or a column is not there, no row survives, there are too
            few authors or places to fill the splits, or a dataset of another source is in the way.
    """
    source = Path(source)
    if not source.is_dir():
        raise ValueError(
            f"{source}: no such folder, expected photos (config.data.source, --source)"
        )
    if short_side is not None and short_side < 1:
        raise ValueError(f"short side {short_side}, expected 1 or more pixels (--short-side)")
    shares = check_fractions(fractions)
    name = name or _dataset_name(source)
    path, rows = _rows(source, table, dict(columns or {}))
    description = {
        "folder": source.resolve().name,
        "table": None if path is None else hashlib.sha256(path.read_bytes()).hexdigest(),
        "columns": dict(columns or {}),
        "files": _fingerprint(source, rows),
        "fractions": dict(shares),
        "short_side": short_side,
        "importer": IMPORTER,
    }
    finished = finished_dataset(directory, name, version, description)
    if finished is not None:
        _log.info("%s: already there", finished)
        return finished
    photos, rejections = _checked(source, rows, threads)
    keys = group_keys(np.array([p.latlng for p in photos]), [p.author for p in photos])
    members = assign_splits(group_digests(keys), shares)
    splits = {
        split: FolderRecords(
            [photo for photo, member in zip(photos, members, strict=True) if member == number],
            short_side,
            threads,
        )
        for number, split in enumerate(shares)
    }
    written = write_dataset(
        directory,
        name,
        version,
        {split: lambda records=records: records for split, records in splits.items()},
        CLASSES,
        description,
        f"{len(photos)} photos of the folder {source.resolve().name}.",
        _licences(photos),
        extra_files={REJECTED_FILE: rejections_csv(rejections)},
    )
    kept = ", ".join(f"{len(records)} {split}" for split, records in splits.items())
    _log.info("%s: %d photos (%s)", written, len(photos), kept)
    if rejections:
        _log.warning(
            "%d of %d rows rejected (%s): see %s",
            *(len(rejections), len(rows), summary(rejections), written / REJECTED_FILE),
        )
    return written


def _rows(
    source: Path, table: str | None, columns: dict[str, str]
) -> tuple[Path | None, Sequence[Row]]:
    """The rows of the table, or of the photos themselves, and where the table lies."""
    for role in columns:
        if role not in KNOWN_NAMES:
            raise ValueError(f"column role {role!r}, expected one of {', '.join(KNOWN_NAMES)}")
    found = [source / file for file in TABLES if (source / file).is_file()]
    path = source / table if table is not None else (found[0] if found else None)
    if path is None:
        if columns:
            raise ValueError(
                f"{source}: no {' or '.join(TABLES)}, expected a table with the named columns "
                "(--table)"
            )
        rows = photo_files(source)
        if not rows:
            raise ValueError(f"{source}: no table and no photos (config.data.source, --source)")
        return None, rows
    read = open_table(path, columns)
    if read.ignored:
        _log.info("%s: columns not used: %s", path, ", ".join(read.ignored))
    for note in read.notes:
        _log.info("%s: %s", path, note)
    return path, tuple(read)


def _checked(
    source: Path, rows: Sequence[Row], threads: int
) -> tuple[list[Photo], list[Rejection]]:
    photos, rejections = [], []
    results = check_rows(source, rows, len(CLASSES), threads)
    for result in track(results, f"checking {source.resolve().name}", len(rows)):
        (photos if isinstance(result, Photo) else rejections).append(result)
    if not photos:
        first = rejections[0]
        raise ValueError(
            f"{source}: none of {len(rows)} rows survived ({summary(rejections)}); row "
            f"{first.row} ({first.file}): {first.reason} (config.data.source, --source)"
        )
    return photos, rejections


def _fingerprint(source: Path, rows: Sequence[Row]) -> str:
    """A digest of the names and sizes of all files that rows name, in order."""
    digest = hashlib.sha256()
    for row in rows:
        paths = [photo_path(source, row.values["file"])] if row.values.get("file") else []
        if row.values.get("segmentation"):
            paths.append(source / row.values["segmentation"])
        for path in paths:
            size = path.stat().st_size if path.is_file() else -1
            digest.update(f"{path.name}\t{size}\n".encode())
    return digest.hexdigest()


def _dataset_name(source: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", source.resolve().name.lower()).strip("_")
    return name if name[:1].isalpha() else f"photos_{name}".rstrip("_")


def _licences(photos: Sequence[Photo]) -> str:
    counts = Counter(photo.licence or "not stated" for photo in photos)
    return "; ".join(f"{count} photos: {licence}" for licence, count in counts.most_common())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m data.folder", description=__doc__)
    parser.add_argument("--source", required=True, help="the folder of photos")
    parser.add_argument("--out", required=True, help="where datasets lie")
    parser.add_argument("--name", help="of the dataset (default: the folder's)")
    parser.add_argument("--version", default=VERSION, help="of the dataset")
    parser.add_argument(
        "--table", help=f"table in the folder (default: one of {', '.join(TABLES)})"
    )
    for role, names in KNOWN_NAMES.items():
        parser.add_argument(f"--{role}-column", help=f"recognised: {', '.join(names)}")
    parser.add_argument(
        "--fractions",
        type=lambda text: [float(share) for share in text.split(",")],
        default=[0.8, 0.1, 0.1],
        metavar="A,B,C",
        help="shares of train, validation and test",
    )
    parser.add_argument("--short-side", type=int, help="largest short side in pixels")
    parser.add_argument("--threads", type=int, default=4, help="files read at a time")
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    columns = {role: given[f"{role}_column"] for role in KNOWN_NAMES}
    try:
        prepare(
            given["out"],
            given["source"],
            name=given["name"],
            version=given["version"],
            table=given["table"],
            columns={role: column for role, column in columns.items() if column is not None},
            fractions=given["fractions"],
            short_side=given["short_side"],
            threads=given["threads"],
        )
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
