"""What a row of any table says of its photo, checked: coordinates, scenes, or why it is rejected."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from geosurge_jax.dataset.record import SCENE_COUNTS, SCENES, UNKNOWN_SCENE
from geosurge_jax.untrusted_text import csv_cell

_LONGEST_CELL = 500
"""Characters of an id, a name or a reason in `rejected.csv`; a cell of a table may have any number."""


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


class RejectedRow(ValueError):
    """The message is the reason."""


def write_rejections(file: BinaryIO, rejections: Iterable[Rejection]) -> Counter[str]:
    """Writes `rejected.csv` (row, id, file, reason) and counts the kinds."""
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
    """How many rows were rejected for what, most frequent first, in one line."""
    kinds = Counter(rejection.kind for rejection in rejections)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def row_latlng(values: Mapping[str, str]) -> tuple[float, float]:
    """The coordinates of a row, degrees, longitude in [-180, 180).

    Raises:
        RejectedRow: They are no place, or an unknown one.
    """
    degrees = []
    for role in ("latitude", "longitude"):
        try:
            degrees.append(float(values[role]))
        except ValueError:
            reason = f"not a number: {role} {values[role]!r}, expected degrees"
            raise RejectedRow(reason) from None
    return checked_latlng(degrees[0], degrees[1])


def checked_latlng(latitude: float, longitude: float) -> tuple[float, float]:
    """Coordinates in degrees, with longitude in [-180, 180).

    Raises:
        RejectedRow: They are no place, or an unknown one.
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
    """The scene indexes of a row; the name of a coarse scene stands in for an index that is not there.

    Raises:
        RejectedRow: One of them is no scene.
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
