"""The table beside a folder of photos: which column means what, and the rows as text."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

KNOWN_NAMES: dict[str, tuple[str, ...]] = {
    "latitude": ("latitude", "lat", "gps_latitude", "gpslatitude"),
    "longitude": ("longitude", "lon", "lng", "long", "gps_longitude", "gpslongitude"),
    "file": (
        *("file", "filename", "file_name", "image", "image_path", "path", "filepath", "file_path"),
        *("img_file", "img_path", "photo", "img_id", "image_id", "photo_id"),
    ),
    "id": ("id", "photo_id", "image_id", "img_id", "key"),
    "author": ("author", "author_id", "user", "user_id", "userid", "owner", "photographer"),
    "segmentation": ("segmentation", "segmentation_file", "segmentation_path", "class_map"),
    "licence": ("licence", "license"),
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
    """A table of photos.

    Attributes:
        rows: All of them, also unreadable ones.
        columns: Role -> column.
        ignored: Columns without a role.
    """

    rows: tuple[Row, ...]
    columns: dict[str, str]
    ignored: tuple[str, ...]


def read_table(path: Path, named: Mapping[str, str]) -> Table:
    """Read a CSV (comma, semicolon or tab) or JSONL table.

    Args:
        path: `.jsonl` and `.ndjson` are JSON lines, everything else is CSV with a header.
        named: Role -> column, for columns of names that are not recognised.

    Raises:
        ValueError: The file is not UTF-8, has no rows, lacks a column that was named, or has no
            column for latitude, longitude or file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}, expected UTF-8 text (--table)") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}, expected a table (--table)") from None
    read = _json_rows if path.suffix.lower() in _JSON_LINES else _csv_rows
    try:
        raw = list(read(text))
    except csv.Error as error:
        raise ValueError(f"{path}: {error}, expected CSV (--table)") from None
    names = list(dict.fromkeys(name for _, values, _ in raw for name in values))
    if not raw or not names:
        raise ValueError(f"{path}: no rows, expected a header and at least one (--table)")
    columns = _columns(path, names, named)
    rows = tuple(
        Row(number, {role: values.get(name, "") for role, name in columns.items()}, problem)
        for number, values, problem in raw
    )
    used = set(columns.values())
    return Table(rows, columns, tuple(name for name in names if name not in used))


def _columns(path: Path, names: list[str], named: Mapping[str, str]) -> dict[str, str]:
    listed = ", ".join(names)
    for role, name in named.items():
        if name not in names:
            raise ValueError(
                f"{path}: no column {name!r}, expected one of: {listed} (--{role}-column)"
            )
    lowered = {name.strip().lower(): name for name in reversed(names)}
    columns = dict(named)
    for role, known in KNOWN_NAMES.items():
        found = next((lowered[name] for name in known if name in lowered), None)
        if role not in columns and found is not None:
            columns[role] = found
    if "file" not in columns and "id" in columns:
        columns["file"] = columns["id"]
    for role in REQUIRED:
        if role not in columns:
            raise ValueError(
                f"{path}: no column for the {role}, expected {', '.join(KNOWN_NAMES[role][:4])} or "
                f"--{role}-column with one of: {listed}"
            )
    return columns


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, str], str]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="\0")
    for number, record in enumerate(reader, start=2):
        extra = record.pop("\0", None)
        problem = f"columns: {len(extra)} more than in the header" if extra else ""
        yield number, {name: (value or "").strip() for name, value in record.items()}, problem


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, str], str]]:
    for number, line in enumerate(text.splitlines(), start=1):
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
