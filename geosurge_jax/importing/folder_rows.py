"""Checks each row of a folder's table: an image that can be stored, or the reason why it cannot."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geosurge_jax.dataset.record import UNKNOWN_CLASS
from geosurge_jax.importing.exif import gps_latlng
from geosurge_jax.importing.file_matching import FileMatcher
from geosurge_jax.importing.file_names import name_problem, text_problem
from geosurge_jax.importing.image_checks import check_image
from geosurge_jax.importing.row_values import (
    RejectedRow,
    Rejection,
    checked_latlng,
    row_latlng,
    row_scenes,
)
from geosurge_jax.importing.sidecar_positions import sidecar_latlng
from geosurge_jax.importing.table import Row
from geosurge_jax.input.image_files import read_image_file
from geosurge_jax.input.images import ImageDecodeError, decode_class_map
from geosurge_jax.threads import in_threads


@dataclass(frozen=True)
class Photo:
    """A row that passed.

    Attributes:
        row: number of the row.
        id: from the table, else the path of the file.
        file: path of the file, relative to the folder.
        path: where it lies.
        latlng: degrees, latitude first, longitude in [-180, 180).
        sidecar: file beside the image that its position was read from; None = none.
        segmentation: the segmentation map; None = there is none.
        scene: see `Record`; the name of a coarse scene that is none of `SCENES` is unknown.
        author: empty = unknown.
        licence: empty = unknown.
        content_hash: see `CheckedImage`.
        perceptual_hash: see `CheckedImage`.
    """

    row: int
    id: str
    file: str
    path: Path
    latlng: tuple[float, float]
    sidecar: Path | None
    segmentation: Path | None
    scene: tuple[int, int, int]
    author: str
    licence: str
    content_hash: int
    perceptual_hash: int | None


@dataclass(frozen=True)
class FolderFiles:
    """The files of a folder, found by the names in a table.

    Attributes:
        folder: where they lie.
        images: its images.
        maps: its segmentation maps and images.
    """

    folder: Path
    images: FileMatcher
    maps: FileMatcher

    def find(self, matcher: FileMatcher, name: str) -> str:
        """Returns the path of a file, relative to the folder.

        Raises:
            RejectedRow: there is no such file, or several may be meant.
        """
        try:
            return matcher.find(name)
        except RejectedRow:
            # Named as it is, a hidden file or one behind a link to a folder counts too.
            if _is_file_inside(self.folder, name):
                return name
            raise


def check_rows(
    files: FolderFiles, rows: Iterable[Row], classes: int, threads: int
) -> Iterator[Photo | Rejection]:
    """Checks rows one after the other, reading and decoding several files at a time.

    Args:
        files: files that rows may name.
        rows: without latitude and longitude the position is read from the image or a sidecar.
        classes: number of segmentation classes.
        threads: files that are read at a time.

    Yields:
        One result for each row, in order. Of rows with the same id the first that passes counts.
    """
    first: dict[str, int] = {}
    for result in in_threads(lambda row: _guarded(files, row, classes), rows, threads):
        if isinstance(result, Photo):
            seen = first.setdefault(result.id, result.row)
            if seen != result.row:
                reason = f"duplicate id: already in row {seen}"
                result = Rejection(result.row, result.id, result.file, reason)
        yield result


def _guarded(files: FolderFiles, row: Row, classes: int) -> Photo | Rejection:
    """The result of a row. Whatever goes wrong with it ends the row, never the import."""
    named = row.values.get("file", "")
    matched = [named]
    try:
        return _check(files, row, classes, matched)
    except RejectedRow as error:
        reason = str(error)
    except Exception as error:  # decoders and file systems have many ways to fail
        reason = f"unreadable file: {' '.join(str(error).split()) or type(error).__name__}"
    return Rejection(row.number, row.values.get("id") or matched[-1], matched[-1], reason)


def _check(files: FolderFiles, row: Row, classes: int, matched: list[str]) -> Photo:
    """A row that passes; the path of its file is appended to `matched` as soon as it is known."""
    values = row.values
    if row.problem:
        raise RejectedRow(row.problem)
    if not values.get("file"):
        raise RejectedRow("missing file: the row names none")
    table_latlng = row_latlng(values) if "latitude" in values else None
    file = files.find(files.images, values["file"])
    matched.append(file)
    identity = values.get("id") or file
    problem = name_problem(file) or text_problem(identity)
    if problem:
        raise RejectedRow(problem)
    path = files.folder / file
    content = _read(path, "file")
    image = check_image(content)
    latlng, sidecar = (table_latlng, None) if table_latlng else _own_latlng(content, path)
    return Photo(
        row=row.number,
        id=identity,
        file=file,
        path=path,
        latlng=latlng,
        sidecar=sidecar,
        segmentation=_segmentation_map(files, values.get("segmentation", ""), classes),
        scene=row_scenes(values),
        author=values.get("author", ""),
        licence=values.get("licence", ""),
        content_hash=image.content_hash,
        perceptual_hash=image.perceptual_hash,
    )


def _own_latlng(content: bytes, path: Path) -> tuple[tuple[float, float], Path | None]:
    """The position in an image, else in a sidecar."""
    try:
        return checked_latlng(*gps_latlng(content)), None
    except RejectedRow:
        raise
    except ValueError as error:
        found = sidecar_latlng(path)
        if found is None:
            raise RejectedRow(f"no position: {error}") from None
        return found


def _segmentation_map(files: FolderFiles, name: str, classes: int) -> Path | None:
    if not name:
        return None
    try:
        file = files.find(files.maps, name)
    except RejectedRow as error:
        raise RejectedRow(str(error).replace(" file: ", " segmentation: ", 1)) from None
    path = files.folder / file
    content = _read(path, "segmentation")
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


def _read(path: Path, what: str) -> bytes:
    """Reads a file; `what` it is stands in the reason of a RejectedRow."""
    try:
        return read_image_file(path)
    except FileNotFoundError:
        raise RejectedRow(f"missing {what}: {path.name}") from None
    except OSError as error:
        raise RejectedRow(f"unreadable {what}: {path.name}: {error.strerror}") from None
    except ImageDecodeError as error:
        raise RejectedRow(f"unreadable {what}: {path.name}: {error}") from None


def _is_file_inside(folder: Path, name: str) -> bool:
    if os.path.isabs(name) or ".." in Path(name).parts:
        return False
    try:
        return os.path.isfile(folder / name)
    except (OSError, ValueError):  # too long, or with a NUL byte
        return False
