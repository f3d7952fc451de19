"""Check the values of a table's row: coordinates, scenes, and the reasons for rejections."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from geosurge_jax.dataset.record import SCENE_COUNTS, SCENES, UNKNOWN_SCENE
from geosurge_jax.importing.coordinates import parse_degrees
from geosurge_jax.untrusted_text import csv_cell

_LONGEST_CELL = 500
"""Characters of an id, a name or a reason in `rejected.csv`; a cell of a table may have any number."""


@dataclass(frozen=True)
class Rejection:
    """A rejected row; `reason` is "kind: detail"."""

    row: int
    id: str
    file: str
    reason: str

    @property
    def kind(self) -> str:
        """The reason without its detail."""
        return self.reason.partition(":")[0]


class RejectedRow(ValueError):
    """Raised for a row that cannot be used; its message is the reason."""


def write_rejections(file: BinaryIO, rejections: Iterable[Rejection]) -> Counter[str]:
    """Write `rejected.csv` (row, id, file, reason) and return the number of each kind."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "id", "file", "reason"))
    kinds: Counter[str] = Counter()
    for rejection in rejections:
        kinds[rejection.kind] += 1
        texts = (rejection.id, rejection.file, rejection.reason)
        writer.writerow((rejection.row, *(csv_cell(_shortened(text)) for text in texts)))
    text.flush()
    text.detach()
    return kinds


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}..."


def rejections_csv(rejections: Iterable[Rejection]) -> bytes:
    """The content of `rejected.csv`."""
    file = io.BytesIO()
    write_rejections(file, rejections)
    return file.getvalue()


def summary(rejections: Iterable[Rejection]) -> str:
    """Return the number of rejections of each kind, most frequent first, in one line."""
    kinds = Counter(rejection.kind for rejection in rejections)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def row_latlng(values: Mapping[str, str]) -> tuple[float, float]:
    """Return the coordinates of a row in degrees, longitude in [-180, 180).

    Raises:
        RejectedRow: The coordinates are outside the globe, or stand for an unknown place.
    """
    degrees = []
    for role in ("latitude", "longitude"):
        try:
            degrees.append(parse_degrees(values[role], role))
        except ValueError as error:
            raise RejectedRow(f"not a number: {role} {values[role]!r}, {error}") from None
    return checked_latlng(degrees[0], degrees[1])


def checked_latlng(latitude: float, longitude: float) -> tuple[float, float]:
    """Return coordinates in degrees, longitude in [-180, 180).

    Raises:
        RejectedRow: The coordinates are outside the globe, or stand for an unknown place.
    """
    where = f"latitude {latitude}, longitude {longitude}"
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise RejectedRow(f"not a number: {where}, expected degrees")
    if abs(latitude) > 90 and abs(latitude) <= 180 and abs(longitude) <= 90:
        raise RejectedRow(f"swapped coordinates: {where}, the other way round it would fit")
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise RejectedRow(f"out of range: {where}, expected -90 to 90 and -180 to 180")
    if latitude == 0 and longitude == 0:
        raise RejectedRow(f"no position: {where}, which stands for an unknown place")
    return latitude, -180.0 if longitude == 180 else longitude


def row_scenes(values: Mapping[str, str]) -> tuple[int, int, int]:
    """Return the scene indexes of a row; a coarse scene's name is used if its index is missing.

    Raises:
        RejectedRow: An index is outside its range.
    """
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
    raise RejectedRow(reason)
