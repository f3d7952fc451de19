"""What the coordinate columns of a whole table prove: swapped columns, longitudes from 0 to 360."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geosurge_jax.importing.coordinates import parse_degrees
from geosurge_jax.importing.table_rows import RawRow

_SAME_DEGREES = 1e-6
_PROOF_OF_0_TO_360 = 2  # rows; a single one is more likely a typing error


@dataclass(frozen=True)
class CoordinateReading:
    """How to read the coordinates of a table.

    Attributes:
        longitudes_0_to_360: Subtract 360 from longitudes above 180.
        notes: One line for the user for each thing that is done.
    """

    longitudes_0_to_360: bool = False
    notes: tuple[str, ...] = ()


@dataclass
class _Counts:
    swapped: int = 0
    first_swapped: str = ""
    not_swapped: int = 0
    east_of_180: int = 0
    west: int = 0
    decimal_commas: int = 0


def survey_coordinates(
    path: Path,
    rows: Iterable[RawRow],
    columns: Mapping[str, str],
    repeated: Mapping[str, Sequence[str]],
) -> CoordinateReading:
    """Read all coordinates of a table once.

    Args:
        path: The file, for messages.
        rows: All of its rows.
        columns: Column of the roles `latitude` and `longitude`.
        repeated: Role -> other columns whose name also belongs to the role.

    Raises:
        ValueError: Some rows fit only with latitude and longitude swapped and no row contradicts, or two
            columns of one role hold different values.
    """
    counts = _Counts()
    for row in rows:
        if row.problem:
            continue
        for role, others in repeated.items():
            _check_same(path, row, role, columns[role], others)
        texts = [row.values.get(columns[role], "") for role in ("latitude", "longitude")]
        _count(counts, row.number, texts)
    if counts.swapped and not counts.not_swapped:
        latitude, longitude = columns["latitude"], columns["longitude"]
        raise ValueError(
            f"{path}: latitude and longitude are swapped: {counts.first_swapped} is the first of "
            f"{counts.swapped} rows that fit only the other way round, and no row contradicts "
            f"(--latitude-column={longitude} --longitude-column={latitude})"
        )
    notes = []
    converted = counts.east_of_180 >= _PROOF_OF_0_TO_360 and not counts.west
    if converted:
        notes.append("longitudes run from 0 to 360 and were converted to -180 to 180")
    if counts.decimal_commas:
        notes.append(f"decimal commas were read as points in {counts.decimal_commas} rows")
    return CoordinateReading(converted, tuple(notes))


def _count(counts: _Counts, number: int, texts: Sequence[str]) -> None:
    try:
        latitude = parse_degrees(texts[0], "latitude")
        longitude = parse_degrees(texts[1], "longitude")
    except ValueError:
        return
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        return
    if 90 < abs(latitude) <= 180 and abs(longitude) <= 90:
        counts.swapped += 1
        counts.first_swapped = counts.first_swapped or (
            f"row {number} (latitude {latitude}, longitude {longitude})"
        )
    counts.not_swapped += abs(latitude) <= 90 < abs(longitude) <= 360
    counts.east_of_180 += 180 < longitude <= 360
    counts.west += longitude < 0
    counts.decimal_commas += "," in texts[0] or "," in texts[1]


def _check_same(path: Path, row: RawRow, role: str, column: str, others: Sequence[str]) -> None:
    text = row.values.get(column, "")
    for other in others:
        found = row.values.get(other, "")
        if text and found and found != text and not _same_degrees(text, found, role):
            raise ValueError(
                f"{path}: columns {column!r} and {other!r} both name the {role} and differ in row "
                f"{row.number} ({text!r}, {found!r}): expected one of them (--{role}-column)"
            )


def _same_degrees(one: str, other: str, role: str) -> bool:
    try:
        return abs(parse_degrees(one, role) - parse_degrees(other, role)) <= _SAME_DEGREES
    except (KeyError, ValueError):
        return False
