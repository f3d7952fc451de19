"""A folder of images as its owner left it: images, a table or positions of their own, and everything else."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geosurge_jax.importing.file_matching import FileMatcher
from geosurge_jax.importing.folder_rows import FolderFiles, Photo
from geosurge_jax.importing.row_values import RejectedRow, Rejection
from geosurge_jax.importing.sidecar_positions import sidecars
from geosurge_jax.importing.table import KNOWN_NAMES, Row, open_table
from geosurge_jax.input.image_files import Listing, account, list_images
from geosurge_jax.untrusted_text import printable, readable_file_name

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.geojson", "metadata.parquet")
"""Tables that are found by themselves; another is named by `--table`."""

_POSITION_SUFFIXES = (
    *(".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".geojson", ".parquet"),
    *(".gpx", ".kml", ".kmz", ".xmp", ".xlsx", ".ods"),
)
_NAMED = 5  # unused tables named in a message
_NOT_LISTED, _TABLE, _SIDECAR = "not in the table", "read as a table", "read as sidecars"


@dataclass(frozen=True)
class FolderSource:
    """A folder and the rows that say where its images were taken.

    Attributes:
        folder: where the images lie.
        listing: its files.
        table: the table's file; None where images or sidecars say where they were taken.
        rows: rows of the table, or one for each image.
        notes: sentences on how the table was read.
    """

    folder: Path
    listing: Listing
    table: Path | None
    rows: Sequence[Row]
    notes: tuple[str, ...]

    @property
    def files(self) -> FolderFiles:
        """The files that rows may name."""
        maps = [path for path, why in self.listing.skipped.items() if why == "segmentation map"]
        images = FileMatcher(self.listing.images)
        return FolderFiles(self.folder, images, FileMatcher([*self.listing.images, *maps]))

    def table_digest(self) -> str | None:
        """Returns the SHA-256 of the table, None where there is none."""
        return None if self.table is None else hashlib.sha256(self.table.read_bytes()).hexdigest()

    def named_files(self) -> set[str]:
        """Returns the paths of all files that rows read, relative to the folder."""
        files, names = self.files, set()
        for row in self.rows:
            for role, matcher in (("file", files.images), ("segmentation", files.maps)):
                if name := row.values.get(role):
                    try:
                        names.add(files.find(matcher, name))
                    except RejectedRow:
                        continue
        if self.table is None:
            beside = (path for name in names for path in sidecars(self.folder / name))
            names |= {path.relative_to(self.folder).as_posix() for path in beside}
        return names

    def closing_line(self, photos: Sequence[Photo], rejections: Sequence[Rejection]) -> str:
        """Returns what became of every file of the folder, in one line."""
        skipped = dict(self.listing.skipped)
        read = {photo.sidecar: _SIDECAR for photo in photos} | {self.table: _TABLE}
        for path, reason in read.items():
            if path is not None and path.is_relative_to(self.folder):
                skipped[path.relative_to(self.folder).as_posix()] = reason
        stored = {photo.file for photo in photos}
        seen = set(self.listing.images) | stored
        rejected = {
            rejection.file: rejection.kind
            for rejection in rejections
            if rejection.file in seen and rejection.file not in stored
        }
        for path in seen - stored - rejected.keys():
            skipped[path] = _NOT_LISTED
        line = account("stored", len(stored), Counter(rejected.values()), Counter(skipped.values()))
        without = sum(rejection.file not in seen for rejection in rejections)
        return f"{line}; {without:,} rows without a file" if without else line

    def unused_tables(self, photos: Sequence[Photo]) -> tuple[str, ...]:
        """Returns the paths of files that may hold positions and were not read."""
        used = {self.table, *(photo.sidecar for photo in photos)}
        return tuple(
            path
            for path, reason in sorted(self.listing.skipped.items())
            if reason in _POSITION_SUFFIXES and self.folder / path not in used
        )


def open_folder(folder: Path, table: str | None, columns: Mapping[str, str]) -> FolderSource:
    """Lists a folder and opens its table.

    Args:
        folder: an existing folder.
        table: path of a table, relative to the folder; None = one of `TABLES` where there is one.
        columns: role (a key of `KNOWN_NAMES`) -> column, where names are not recognised.

    Raises:
        ValueError: the table or a column is not there, or there is neither table nor image.
    """
    for role in columns:
        if role not in KNOWN_NAMES:
            raise ValueError(f"column role {role!r}, expected one of {', '.join(KNOWN_NAMES)}")
    listing = list_images(folder)
    found = [folder / file for file in TABLES if (folder / file).is_file()]
    path = folder / table if table is not None else (found[0] if found else None)
    if path is None:
        if columns:
            raise ValueError(
                f"{folder}: no {' or '.join(TABLES)}, expected a table with the named columns (--table)"
            )
        if not listing.images:
            line = account("stored", 0, {}, listing.reasons)
            raise ValueError(
                f"{folder}: no table and no photos ({line}; config.data.source, --source)"
            )
        rows = [Row(number, {"file": file}) for number, file in enumerate(listing.images, start=1)]
        return FolderSource(folder, listing, None, rows, ())
    read = open_table(path, columns)
    ignored = (f"columns not used: {', '.join(read.ignored)}",) if read.ignored else ()
    notes = tuple(f"{path}: {note}" for note in (*ignored, *read.notes))
    return FolderSource(folder, listing, path, tuple(read), notes)


def unused_sentence(paths: Sequence[str]) -> str:
    """Returns a line that names tables and sidecars that were found and not used."""
    named = ", ".join(printable(readable_file_name(path)) for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return f"found and not used: {named}{more} (--table names a table of places)"
