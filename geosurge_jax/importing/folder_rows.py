"""Each row of a folder's table checked: a photo that can be stored, or why it cannot."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geosurge_jax.dataset.record import UNKNOWN_CLASS
from geosurge_jax.importing.exif import gps_latlng
from geosurge_jax.importing.row_values import (
    RejectedRow,
    Rejection,
    checked_latlng,
    row_latlng,
    row_scenes,
)
from geosurge_jax.importing.table import Row
from geosurge_jax.input.images import ImageDecodeError, decode_class_map, decode_image
from geosurge_jax.threads import in_threads

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic")


@dataclass(frozen=True)
class Photo:
    """A row that passed.

    Attributes:
        row: Number of the row.
        id: From the table, or the file as it is named there.
        file: As the row names it.
        path: Where it lies.
        latlng: Degrees, latitude first, longitude in [-180, 180).
        segmentation: The class map, None = there is none.
        scene: See `Record`; the name of a coarse scene that is none of `SCENES` is unknown.
        author: Empty = unknown.
        licence: Empty = unknown.
    """

    row: int
    id: str
    file: str
    path: Path
    latlng: tuple[float, float]
    segmentation: Path | None
    scene: tuple[int, int, int]
    author: str
    licence: str


def photo_files(folder: Path) -> list[Row]:
    """A row for each photo below a folder, for folders without a table; hidden files left out."""
    paths = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file()
    )
    shown = [path for path in paths if not any(part[0] == "." for part in path.split("/"))]
    return [Row(number, {"file": path}) for number, path in enumerate(shown, start=1)]


def photo_path(folder: Path, file: str) -> Path:
    """The file of a row; a name without suffix may lack `.jpg` or another of a photo."""
    path = folder / file
    if not path.suffix and not path.is_file():
        for suffix in PHOTO_SUFFIXES:
            if path.with_suffix(suffix).is_file():
                return path.with_suffix(suffix)
    return path


def check_rows(
    folder: Path, rows: Iterable[Row], classes: int, threads: int
) -> Iterator[Photo | Rejection]:
    """Check rows one after the other, reading and decoding several files at a time.

    Args:
        folder: Files are relative to it.
        rows: Without latitude and longitude the position is read from the photo's EXIF.
        classes: Number of segmentation classes.
        threads: Files that are read at a time.

    Yields:
        One result for each row, in order. Of rows with the same id the first that passes counts.
    """
    first: dict[str, int] = {}
    for result in in_threads(lambda row: _check(folder, row, classes), rows, threads):
        if isinstance(result, Photo):
            seen = first.setdefault(result.id, result.row)
            if seen != result.row:
                reason = f"duplicate id: already in row {seen}"
                result = Rejection(result.row, result.id, result.file, reason)
        yield result


def _check(folder: Path, row: Row, classes: int) -> Photo | Rejection:
    values = row.values
    file = values.get("file", "")
    identity = values.get("id") or file
    try:
        if row.problem:
            raise RejectedRow(row.problem)
        if not file:
            raise RejectedRow("missing file: the row names none")
        table_latlng = row_latlng(values) if "latitude" in values else None
        path = photo_path(folder, file)
        content = _content(path, "file")
        try:
            decode_image(content)
        except ImageDecodeError as error:
            raise RejectedRow(f"unreadable image: {error}") from None
        latlng = _exif_latlng(content) if table_latlng is None else table_latlng
        return Photo(
            row=row.number,
            id=identity,
            file=file,
            path=path,
            latlng=latlng,
            segmentation=_class_map(folder, values.get("segmentation", ""), classes),
            scene=row_scenes(values),
            author=values.get("author", ""),
            licence=values.get("licence", ""),
        )
    except RejectedRow as error:
        return Rejection(row.number, identity, file, str(error))


def _exif_latlng(content: bytes) -> tuple[float, float]:
    try:
        latitude, longitude = gps_latlng(content)
    except ValueError as error:
        raise RejectedRow(f"no position: {error}") from None
    return checked_latlng(latitude, longitude)


def _class_map(folder: Path, file: str, classes: int) -> Path | None:
    if not file:
        return None
    path = folder / file
    content = _content(path, "segmentation")
    try:
        present = np.unique(decode_class_map(content))
    except ImageDecodeError as error:
        raise RejectedRow(f"unreadable segmentation: {file}: {error}") from None
    unknown = present[(present >= classes) & (present != UNKNOWN_CLASS)]
    if unknown.size:
        raise RejectedRow(
            f"unknown class: {unknown[0]} in {file}, expected 0 to {classes - 1} or {UNKNOWN_CLASS}"
        )
    return path


def _content(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RejectedRow(f"missing {what}: {path.name}") from None
    except OSError as error:
        raise RejectedRow(f"unreadable {what}: {path.name}: {error.strerror}") from None
