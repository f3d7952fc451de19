"""Tables of photos: which column has which role, and the rows as text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geosurge_jax.delimited.text import TextEncoding, is_damaged
from geosurge_jax.importing.coordinates import parse_degrees
from geosurge_jax.importing.table_rows import (
    JSON_LINES,
    TABLE_SUFFIXES,
    raw_rows,
    table_encoding,
)
from geosurge_jax.importing.table_survey import CoordinateReading, survey_coordinates

KNOWN_NAMES: dict[str, tuple[str, ...]] = {
    "latitude": ("latitude", "lat", "gps_latitude", "gpslatitude"),
    "longitude": ("longitude", "lon", "lng", "long", "gps_longitude", "gpslongitude"),
    "file": (
        *("file", "filename", "file_name", "image", "image_path", "path", "filepath", "file_path"),
        *("img_file", "img_path", "photo", "img_id", "image_id", "photo_id"),
    ),
    "id": ("id", "photo_id", "image_id", "img_id", "key"),
    "author": (
        "author",
        "author_id",
        "user",
        "user_id",
        "userid",
        "owner",
        "photographer",
        "ownernsid",
    ),
    "segmentation": ("segmentation", "segmentation_file", "segmentation_path", "class_map"),
    "licence": ("licence", "license", "licensename"),
    "scene": ("scene", "scene_label"),
    "scene3": ("s3_label",),
    "scene16": ("s16_label",),
    "scene365": ("s365_label",),
}
"""Recognised column names of each role. The first one that the table has is used; case does not matter.

`scene` is the name of a coarse scene. `scene3`, `scene16` and `scene365` are indexes in the granularities of
Places365, under the names that the tables of GeoEstimation use.
"""

REQUIRED = ("latitude", "longitude", "file")
_POSITION = ("latitude", "longitude")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        number: Line of the file, counted from 1; in GeoJSON and Parquet the row, counted from 1.
        values: Text of each role, stripped; a role without a column is absent.
        problem: Why the row cannot be read, empty if it can.
    """

    number: int
    values: dict[str, str]
    problem: str = ""


@dataclass(frozen=True)
class Table:
    """A table of photos. Each iteration reads the file again; rows are never held in memory together.

    Attributes:
        path: The file.
        columns: Role -> column.
        ignored: Columns without a role.
        encoding: Of the file, None for Parquet.
        reading: How to read the coordinates.
    """

    path: Path
    columns: dict[str, str]
    ignored: tuple[str, ...]
    encoding: TextEncoding | None
    reading: CoordinateReading

    @property
    def notes(self) -> tuple[str, ...]:
        """One line for the user for each conversion that reading this table involves."""
        encoding = self.encoding.note if self.encoding is not None else ""
        return tuple(note for note in (encoding, *self.reading.notes) if note)

    def __iter__(self) -> Iterator[Row]:
        """Yield all rows; one that cannot be read has a problem."""
        for row in raw_rows(self.path, self.encoding):
            values = {role: row.values.get(name, "") for role, name in self.columns.items()}
            problem = row.problem or _damage(values)
            if self.reading.longitudes_0_to_360 and not problem:
                values["longitude"] = _within_180(values["longitude"])
            yield Row(row.number, values, problem)


def open_table(path: Path, named: Mapping[str, str], required: Sequence[str] = REQUIRED) -> Table:
    """Open a table: CSV (comma, semicolon or tab), JSON lines, GeoJSON or Parquet.

    Reads the file up to three times: for its encoding, for the names of JSON lines, and for what all
    coordinates prove together.

    Args:
        path: `.jsonl`, `.ndjson`, `.geojson` and `.parquet` name the format, all else is CSV with a header.
        named: Role -> column, for columns whose names are not recognised.
        required: Roles that need a column.

    Raises:
        ValueError: The file has no rows or no header, lacks a named column, has no column for a required
            role, has latitude and longitude swapped, or has two different columns for one role. Iterating
            raises it as well if the file can no longer be read.
    """
    encoding = table_encoding(path)
    names = _names(path, encoding)
    if not names:
        raise ValueError(f"{path}: no rows, expected a header and at least one (--table)")
    if path.suffix.lower() not in TABLE_SUFFIXES[2:] and not named:
        _check_header(path, names)
    columns = _columns(path, names, named, required)
    used = set(columns.values())
    ignored = tuple(name for name in names if name not in used)
    reading = CoordinateReading()
    if all(role in columns for role in _POSITION):
        repeated = {
            role: others
            for role in columns
            if role not in named and (others := _repetitions(role, columns[role], ignored))
        }
        reading = survey_coordinates(path, raw_rows(path, encoding), columns, repeated)
    return Table(path, columns, ignored, encoding, reading)


def _names(path: Path, encoding: TextEncoding | None) -> list[str]:
    """The columns of a table that has a row; those of JSON are the union over all rows."""
    rows = raw_rows(path, encoding)
    if path.suffix.lower() not in (*JSON_LINES, ".geojson"):
        first = next(rows, None)
        return list(first.values) if first is not None else []
    return list(dict.fromkeys(name for row in rows for name in row.values))


def _check_header(path: Path, names: Sequence[str]) -> None:
    numbers = [name for name in names if _is_angle(name)]
    if len(numbers) >= 2 and not recognised(names):
        raise ValueError(
            f"{path}: no header: the first line is data ({', '.join(names)[:80]}); expected a first "
            "line such as file,latitude,longitude (--table)"
        )


def _is_angle(text: str) -> bool:
    for role in _POSITION:
        try:
            parse_degrees(text, role)
            return True
        except ValueError:
            continue
    return False


def _damage(values: Mapping[str, str]) -> str:
    """Why the text of a row cannot be used, empty if it can."""
    for role, text in values.items():
        if is_damaged(text):
            return "not UTF-8: bytes that are no UTF-8 text"
        if "\0" in text:
            return f"damaged: {role} has a NUL byte"
    return ""


def _within_180(text: str) -> str:
    try:
        degrees = parse_degrees(text, "longitude")
    except ValueError:
        return text
    return repr(degrees - 360) if 180 < degrees <= 360 else text


def _repetitions(role: str, column: str, ignored: Sequence[str]) -> list[str]:
    """Columns beside `column` that have its name again, or another name of a coordinate's role."""
    known = KNOWN_NAMES[role] if role in _POSITION else ()
    accepted = {column.lower(), *known}
    return [name for name in ignored if name.lower().partition(" (column ")[0] in accepted]


def recognised(names: Iterable[str]) -> dict[str, str]:
    """Role -> the column that has one of its names (`KNOWN_NAMES`), for roles that have one."""
    lowered = {name.strip().lower(): name for name in reversed(tuple(names))}
    found = {
        role: next((lowered[name] for name in known if name in lowered), None)
        for role, known in KNOWN_NAMES.items()
    }
    return {role: name for role, name in found.items() if name is not None}


def _columns(
    path: Path, names: list[str], named: Mapping[str, str], required: Sequence[str]
) -> dict[str, str]:
    listed = ", ".join(names)
    for role, name in named.items():
        if name not in names:
            raise ValueError(
                f"{path}: no column {name!r}, expected one of: {listed} (--{role}-column)"
            )
    columns = {**recognised(names), **named}
    if "file" not in columns and "id" in columns:
        columns["file"] = columns["id"]
    for role in required:
        if role not in columns:
            raise ValueError(
                f"{path}: no column for the {role}, expected {', '.join(KNOWN_NAMES[role][:4])} or "
                f"--{role}-column with one of: {listed}"
            )
    return columns
