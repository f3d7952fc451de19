"""Lists of places as CSV, as GeoCLIP publishes its gallery: a header with LAT and LON, one place a row."""

import os
from collections.abc import Sequence

import numpy as np

from geosurge_jax.delimited.records import Record, csv_records
from geosurge_jax.delimited.text import detect_encoding
from geosurge_jax.geo.s2 import check_latlng

COLUMNS = ("LAT", "LON")


def read_places_csv(path: str | os.PathLike) -> np.ndarray:
    """Reads the places of a CSV file, in order.

    Returns:
        Degrees, float64 `[M, 2]`.

    Raises:
        ValueError: the file is missing or no such CSV, has no row, or a coordinate is none; names file, row
            and value.
    """
    try:
        records = csv_records(path, detect_encoding(path))
        header = next(records, None)
        names = header.fields if header is not None else []
        if any(name not in names for name in COLUMNS):
            raise ValueError(f"{path}: columns {names}, expected {list(COLUMNS)}")
        columns = [names.index(name) for name in COLUMNS]
        places = [_place(path, record, columns) for record in records]
    except OSError as error:
        raise ValueError(f"{path}: not a readable CSV of places ({error})") from None
    if not places:
        raise ValueError(f"{path}: no place, expected at least one row below the header")
    latlng = np.array(places, np.float64)
    try:
        check_latlng(latlng)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return latlng


def _place(path: str | os.PathLike, record: Record, columns: Sequence[int]) -> tuple[float, float]:
    try:
        latitude, longitude = (float(record.fields[column]) for column in columns)
    except (IndexError, ValueError):
        raise ValueError(
            f"{path}: line {record.line}: {record.problem or record.fields}: "
            "expected degrees of latitude and longitude"
        ) from None
    return latitude, -180.0 if longitude == 180.0 else longitude
