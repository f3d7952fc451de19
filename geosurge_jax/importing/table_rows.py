"""Rows of a table in any format, as text by column name."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geosurge_jax.delimited.records import csv_records
from geosurge_jax.delimited.text import TextEncoding, detect_encoding, open_text

MAX_GEOJSON_BYTES = 1 << 28
"""GeoJSON is loaded as a whole, unlike the other formats."""

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".geojson", ".parquet")
JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class RawRow:
    """One row before columns have roles.

    Attributes:
        number: Line in the file, counted from 1; in GeoJSON and Parquet the row, counted from 1.
        values: Text of each column, stripped.
        problem: Why the row cannot be read, empty if it can.
    """

    number: int
    values: dict[str, str]
    problem: str = ""


def table_encoding(path: Path) -> TextEncoding | None:
    """Return the encoding of a table of text, None for Parquet.

    Raises:
        ValueError: The file cannot be read.
    """
    if path.suffix.lower() == ".parquet":
        return None
    try:
        return detect_encoding(path)
    except OSError as error:
        raise _unreadable(path, error.strerror) from None


def raw_rows(path: Path, encoding: TextEncoding | None) -> Iterator[RawRow]:
    """Yield the rows of a table; the suffix of the file decides its format, any other suffix is CSV.

    Args:
        path: The file.
        encoding: What `table_encoding` returned for it.

    Raises:
        ValueError: The file cannot be read, or is not of its format at all.
    """
    readers: dict[str, Callable[..., Iterator[RawRow]]] = {
        **dict.fromkeys(JSON_LINES, _json_rows),
        ".geojson": _geojson_rows,
    }
    try:
        if encoding is None:
            yield from _parquet_rows(path)
        else:
            yield from readers.get(path.suffix.lower(), _csv_rows)(path, encoding)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None


def _unreadable(path: Path, why: str | None) -> ValueError:
    return ValueError(f"{path}: {why}, expected a table (--table)")


def distinct(names: Sequence[str]) -> list[str]:
    """Column names with ` (column N)` behind each repetition of an earlier name."""
    seen: Counter[str] = Counter()
    found = []
    for number, name in enumerate(names, start=1):
        found.append(f"{name} (column {number})" if seen[name] else name)
        seen[name] += 1
    return found


def _csv_rows(path: Path, encoding: TextEncoding) -> Iterator[RawRow]:
    records = csv_records(path, encoding)
    header = next(records, None)
    if header is None:
        return
    if header.problem:
        raise ValueError(f"{path}: line {header.line}: {header.problem}, expected a header")
    names = distinct(header.fields)
    for record in records:
        if record.problem:
            yield RawRow(record.line, dict.fromkeys(names, ""), record.problem)
            continue
        fields = record.fields
        extra = len(fields) - len(names)
        problem = f"columns: {extra} more than in the header" if any(fields[len(names) :]) else ""
        fields = fields + [""] * -extra
        yield RawRow(record.line, dict(zip(names, fields, strict=False)), problem)


def _json_rows(path: Path, encoding: TextEncoding) -> Iterator[RawRow]:
    with open_text(path, encoding) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                if isinstance(record, dict):
                    yield RawRow(number, _texts(record))
                else:
                    problem = f"line: {type(record).__name__}, expected a JSON object"
                    yield RawRow(number, {}, problem)
            except ValueError as error:
                yield RawRow(number, {}, f"line: not JSON ({error})")
            except RecursionError:
                yield RawRow(number, {}, "line: nested too deeply, expected a flat JSON object")


def _geojson_rows(path: Path, encoding: TextEncoding) -> Iterator[RawRow]:
    expected = "expected a GeoJSON FeatureCollection of Points (--table)"
    size = path.stat().st_size
    if size > MAX_GEOJSON_BYTES:
        raise ValueError(f"{path}: {size} bytes, expected at most {MAX_GEOJSON_BYTES} of GeoJSON")
    try:
        with open_text(path, encoding) as file:
            collection = json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}, {expected}") from None
    features = collection.get("features") if isinstance(collection, dict) else None
    if not isinstance(features, list):
        raise ValueError(f"{path}: no list of features, {expected}")
    for number, feature in enumerate(features, start=1):
        yield _feature_row(number, feature)


def _feature_row(number: int, feature: Any) -> RawRow:
    """The properties of a feature, with its point as `latitude` and `longitude`."""
    if not isinstance(feature, dict):
        return RawRow(number, {}, f"feature: {type(feature).__name__}, expected an object")
    geometry, properties = feature.get("geometry") or {}, feature.get("properties") or {}
    point = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if not isinstance(properties, dict) or not isinstance(geometry, dict):
        return RawRow(number, {}, "feature: expected an object of properties and a geometry")
    values = {"id": feature["id"]} if "id" in feature else {}
    values |= {
        f"properties.{name}" if name in ("latitude", "longitude") else name: value
        for name, value in properties.items()
    }
    problem = ""
    if geometry.get("type") == "Point" and isinstance(point, list) and len(point) >= 2:
        values |= {"latitude": point[1], "longitude": point[0]}
    else:
        problem = f"geometry: {geometry.get('type')}, expected a Point of longitude and latitude"
    return RawRow(number, _texts(values), problem)


def _parquet_rows(path: Path) -> Iterator[RawRow]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ValueError(
            f"{path}: expected pyarrow, which reads Parquet (pip install 'geosurge_jax[parquet]')"
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=4096):
                names = distinct(batch.schema.names)
                columns = [column.to_pylist() for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield RawRow(number, _texts(dict(zip(names, cells, strict=True))))
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"{path}: {why}, expected Parquet (--table)") from None


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else str(value).strip() for name, value in values.items()}
