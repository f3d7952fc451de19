"""Each row of a folder's table checked: a photo that can be stored, or why it cannot."""

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from data.exif import gps_latlng
from data.folder_table import Row
from geosurge_jax.input.images import ImageDecodeError, decode_class_map, decode_image
from geosurge_jax.input.record import SCENE_COUNTS, SCENES, UNKNOWN_CLASS, UNKNOWN_SCENE

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic")
_CHUNK = 512

T = TypeVar("T")
R = TypeVar("R")


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


@dataclass(frozen=True)
class Rejection:
    """A row that did not pass; `reason` is "kind: detail"."""

    row: int
    id: str
    file: str
    reason: str

    @property
    def kind(self) -> str:
        """The reason without its detail."""
        return self.reason.partition(":")[0]


class _RejectedRow(ValueError):
    """The message is the reason."""


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


def in_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Map in order on threads, with a bounded number of results held."""
    remaining = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        while chunk := list(islice(remaining, _CHUNK)):
            yield from pool.map(function, chunk)


def rejections_csv(rejections: Sequence[Rejection]) -> bytes:
    """The content of `rejected.csv`: row, id, file, reason."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "id", "file", "reason"))
    writer.writerows((r.row, r.id, r.file, r.reason) for r in rejections)
    return text.getvalue().encode("utf-8")


def summary(rejections: Sequence[Rejection]) -> str:
    """How many rows were rejected for what, most frequent first, in one line."""
    kinds = Counter(rejection.kind for rejection in rejections)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def _check(folder: Path, row: Row, classes: int) -> Photo | Rejection:
    values = row.values
    file = values.get("file", "")
    identity = values.get("id") or file
    try:
        if row.problem:
            raise _RejectedRow(row.problem)
        if not file:
            raise _RejectedRow("missing file: the row names none")
        table_latlng = _table_latlng(values) if "latitude" in values else None
        path = photo_path(folder, file)
        content = _content(path, "file")
        try:
            decode_image(content)
        except ImageDecodeError as error:
            raise _RejectedRow(f"unreadable image: {error}") from None
        latlng = _exif_latlng(content) if table_latlng is None else table_latlng
        return Photo(
            row=row.number,
            id=identity,
            file=file,
            path=path,
            latlng=latlng,
            segmentation=_class_map(folder, values.get("segmentation", ""), classes),
            scene=_scenes(values),
            author=values.get("author", ""),
            licence=values.get("licence", ""),
        )
    except _RejectedRow as error:
        return Rejection(row.number, identity, file, str(error))


def _table_latlng(values: dict[str, str]) -> tuple[float, float]:
    degrees = []
    for role in ("latitude", "longitude"):
        try:
            degrees.append(float(values[role]))
        except ValueError:
            reason = f"not a number: {role} {values[role]!r}, expected degrees"
            raise _RejectedRow(reason) from None
    return _checked_latlng(degrees[0], degrees[1])


def _exif_latlng(content: bytes) -> tuple[float, float]:
    try:
        latitude, longitude = gps_latlng(content)
    except ValueError as error:
        raise _RejectedRow(f"no position: {error}") from None
    return _checked_latlng(latitude, longitude)


def _checked_latlng(latitude: float, longitude: float) -> tuple[float, float]:
    where = f"latitude {latitude}, longitude {longitude}"
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise _RejectedRow(f"not a number: {where}, expected degrees")
    if abs(latitude) > 90 and abs(latitude) <= 180 and abs(longitude) <= 90:
        raise _RejectedRow(f"swapped coordinates: {where}, the other way round it would fit")
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise _RejectedRow(f"out of range: {where}, expected -90 to 90 and -180 to 180")
    if latitude == 0 and longitude == 0:
        raise _RejectedRow(f"no position: {where}, which stands for an unknown place")
    return latitude, -180.0 if longitude == 180 else longitude


def _class_map(folder: Path, file: str, classes: int) -> Path | None:
    if not file:
        return None
    path = folder / file
    content = _content(path, "segmentation")
    try:
        present = np.unique(decode_class_map(content))
    except ImageDecodeError as error:
        raise _RejectedRow(f"unreadable segmentation: {file}: {error}") from None
    unknown = present[(present >= classes) & (present != UNKNOWN_CLASS)]
    if unknown.size:
        raise _RejectedRow(
            f"unknown class: {unknown[0]} in {file}, expected 0 to {classes - 1} or {UNKNOWN_CLASS}"
        )
    return path


def _content(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise _RejectedRow(f"missing {what}: {path.name}") from None
    except OSError as error:
        raise _RejectedRow(f"unreadable {what}: {path.name}: {error.strerror}") from None


def _scenes(values: dict[str, str]) -> tuple[int, int, int]:
    """The indexes of a row; the name of a coarse scene stands in for an index that is not there."""
    coarse, middle, fine = (
        _scene_index(values.get(f"scene{count}", ""), count) for count in SCENE_COUNTS
    )
    name = values.get("scene", "").lower()
    if coarse == UNKNOWN_SCENE and name in SCENES:
        coarse = SCENES.index(name)
    return coarse, middle, fine


def _scene_index(text: str, count: int) -> int:
    if not text:
        return UNKNOWN_SCENE
    # A spreadsheet or pandas writes whole numbers as 7.0 in a column that has gaps.
    whole = text.removesuffix(".0")
    if whole.removeprefix("-").isascii() and whole.removeprefix("-").isdigit():
        index = int(whole)
        if UNKNOWN_SCENE <= index < count:
            return index
    reason = f"unknown scene: {text!r} of {count}, expected -1 to {count - 1}"
    raise _RejectedRow(reason)
