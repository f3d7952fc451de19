"""Lists of places as CSV, as GeoCLIP publishes its gallery: a header with LAT and LON, one place a row."""

import csv
import os

import numpy as np

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
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise ValueError(f"{path}: columns {rows.fieldnames}, expected {list(COLUMNS)}")
            places = [_place(path, number, row) for number, row in enumerate(rows, start=2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a readable CSV of places ({error})") from None
    if not places:
        raise ValueError(f"{path}: no place, expected at least one row below the header")
    latlng = np.array(places, np.float64)
    try:
        check_latlng(latlng)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return latlng


def _place(path: str | os.PathLike, line: int, row: dict[str, str]) -> tuple[float, float]:
    latitude, longitude = (row[name] for name in COLUMNS)
    try:
        east = float(longitude)
        return float(latitude), -180.0 if east == 180.0 else east
    except (TypeError, ValueError):
        raise ValueError(
            f"{path}: line {line}: {latitude!r}, {longitude!r}: expected degrees of latitude and longitude"
        ) from None
