"""The table of a set of photos: which column means what, and the rows as text, one after another."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

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
"""Recognised column names of each role, the first that is there counts; case does not matter.

`scene` is the name of a coarse scene; the others are indexes in Places365's granularities, as the tables
that came with GeoEstimation's data name them.
"""

REQUIRED = ("latitude", "longitude", "file")
_JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        number: As a spreadsheet counts: 1 is the first line of the file.
        values: Text of each role, stripped; a role without column is not there.
        problem: Why the row cannot be read at all, empty = it can.
    """

    number: int
    values: dict[str, str]
    problem: str = ""


@dataclass(frozen=True)
class Table:
    """A table of photos that is read anew by each iteration, and never as a whole.

    Attributes:
        path: Where it lies.
        columns: Role -> column.
        ignored: Columns without a role.
    """

    path: Path
    columns: dict[str, str]
    ignored: tuple[str, ...]

    def __iter__(self) -> Iterator[Row]:
        """Its rows, also unreadable ones, with a problem."""
        for number, values, problem in _raw_rows(self.path):
            roles = {role: values.get(name, "") for role, name in self.columns.items()}
            if not problem and not all(text.isascii() or _is_utf8(text) for text in roles.values()):
                problem = "not UTF-8: bytes that are no UTF-8 text"
            yield Row(number, roles, problem)


def open_table(path: Path, named: Mapping[str, str], required: Sequence[str] = REQUIRED) -> Table:
    """Open a CSV (comma, semicolon or tab) or JSONL table.

    Args:
        path: `.jsonl` and `.ndjson` are JSON lines, everything else is CSV with a header.
        named: Role -> column, for columns of names that are not recognised.
        required: Roles that need a column.

    Raises:
        ValueError: The file has no rows, lacks a column that was named, or has no column for a
            required role. Iterating raises it too, where the file breaks off or is no CSV.
    """
    if path.suffix.lower() in _JSON_LINES:
        names = list(dict.fromkeys(name for _, values, _ in _raw_rows(path) for name in values))
    else:
        first = next(_raw_rows(path), None)
        names = list(first[1]) if first is not None else []
    if not names:
        raise ValueError(f"{path}: no rows, expected a header and at least one (--table)")
    columns = _columns(path, names, named, required)
    used = set(columns.values())
    return Table(path, columns, tuple(name for name in names if name not in used))


def _raw_rows(path: Path) -> Iterator[tuple[int, dict[str, str], str]]:
    read = _json_rows if path.suffix.lower() in _JSON_LINES else _csv_rows
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from read(file)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}, expected a table (--table)") from None
    except csv.Error as error:
        raise ValueError(f"{path}: {error}, expected CSV (--table)") from None


def _is_utf8(text: str) -> bool:
    """Whether no byte had to be escaped."""
    return not any("\udc80" <= character <= "\udcff" for character in text)


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


def _csv_rows(file: TextIO) -> Iterator[tuple[int, dict[str, str], str]]:
    header = file.readline()
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(chain([header], file), delimiter=delimiter, restkey="\0")
    for number, record in enumerate(reader, start=2):
        extra = record.pop("\0", None)
        problem = f"columns: {len(extra)} more than in the header" if extra else ""
        yield number, {name: (value or "").strip() for name, value in record.items()}, problem


def _json_rows(file: TextIO) -> Iterator[tuple[int, dict[str, str], str]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            yield number, {}, f"line: not JSON ({error})"
            continue
        if not isinstance(record, dict):
            yield number, {}, f"line: {type(record).__name__}, expected a JSON object"
            continue
        values = {name: "" if value is None else str(value) for name, value in record.items()}
        yield number, {name: value.strip() for name, value in values.items()}, ""
