"""Builds the tables that `geosurge_jax.geo.name_places` reads, from GeoNames and Natural Earth.

    python -m data.place_names --cities geonames_cities1000.csv.gz \
        --countries ne_50m_admin_0_countries.geojson --out geosurge_jax/geo/place_data

`--cities` is a CSV with the columns city, state, country_code, latitude and longitude, gzip-compressed
where its name ends in .gz. `--countries` is Natural Earth's admin-0 countries as GeoJSON, in degrees.
"""

import argparse
import csv
import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.geo import atomic_file

# Natural Earth 5 has no ISO code for these outlines. The towns in them carry these codes.
_CODES_OF_OUTLINES = {"ATC": "AU", "CYN": "CY", "FRA": "FR", "NOR": "NO", "SOL": "SO", "IOA": "CX"}

# Territories with an ISO code of their own whose outline is part of another one: (outline, name).
# An empty outline means that Natural Earth's 1:50m countries leave the territory out.
_TERRITORIES = {
    "BQ": ("NL", "Caribbean Netherlands"),
    "CC": ("CX", "Cocos Islands"),
    "CX": ("CX", "Christmas Island"),
    "GF": ("FR", "French Guiana"),
    "GI": ("", "Gibraltar"),
    "GP": ("FR", "Guadeloupe"),
    "MQ": ("FR", "Martinique"),
    "RE": ("FR", "Réunion"),
    "SJ": ("NO", "Svalbard and Jan Mayen"),
    "TK": ("", "Tokelau"),
    "TV": ("", "Tuvalu"),
    "YT": ("FR", "Mayotte"),
}

# Natural Earth's long names are the official ones; people know these countries by another name.
_COMMON_NAMES = {
    "BN": "Brunei",
    "CY": "Cyprus",
    "GM": "Gambia",
    "KP": "North Korea",
    "KR": "South Korea",
    "LA": "Laos",
    "RU": "Russia",
    "SO": "Somalia",
    "AU": "Australia",
}

_COORDINATES_PER_DEGREE = 10_000  # fixed point of 1e-4 degrees, 11 m


def build_place_data(cities: Path, countries: Path, out: Path) -> list[Path]:
    """Write `towns.npz` and `outlines.npz` and return their paths.

    Raises:
        ValueError: a file is missing or has another format; names the file, the value and the option.
    """
    codes, names, outlines = _read_countries(countries)
    towns = _read_cities(cities)
    for code in sorted({town[2] for town in towns} - set(codes)):
        if code not in _TERRITORIES:
            raise ValueError(f"{cities}: country_code={code}: expected a country of --countries")
        codes.append(code)
        names.append(_TERRITORIES[code][1])
    number = {code: index for index, code in enumerate(codes) if code}
    outline_of_country = np.arange(len(codes), dtype=np.uint16)
    for code, (owner, _) in _TERRITORIES.items():
        if owner and code in number:
            outline_of_country[number[code]] = number[owner]
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "towns.npz", out / "outlines.npz"]
    _write(paths[0], _town_arrays(towns, number))
    country_arrays = {"codes": _text(codes), "names": _text(names), "outline": outline_of_country}
    _write(paths[1], country_arrays | _outline_arrays(outlines))
    return paths


def _read_countries(path: Path) -> tuple[list[str], list[str], list[tuple[int, np.ndarray]]]:
    """Codes and names of the countries and their rings: country index and degrees `[V, 2]`."""
    codes: list[str] = []
    names: list[str] = []
    rings: list[tuple[int, np.ndarray]] = []
    try:
        for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
            properties = feature["properties"]
            code = properties["iso_a2"]
            if code == "-99":
                code = _CODES_OF_OUTLINES.get(properties["adm0_a3"], "")
            if not code or code not in codes:
                codes.append(code)
                fallback = _TERRITORIES.get(code, ("", properties["name_long"]))[1]
                names.append(_COMMON_NAMES.get(code, fallback))
            index = codes.index(code) if code else len(codes) - 1
            rings += [(index, ring) for ring in _rings(feature["geometry"])]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise ValueError(
            f"{path}: expected Natural Earth's admin-0 countries as GeoJSON (--countries); {problem}"
        ) from None
    return codes, names, rings


def _rings(geometry: dict[str, Any]) -> list[np.ndarray]:
    polygons = geometry["coordinates"]
    if geometry["type"] == "Polygon":
        polygons = [polygons]
    return [np.array(ring, np.float64)[:, 1::-1] for polygon in polygons for ring in polygon]


def _read_cities(path: Path) -> list[tuple[str, str, str, float, float]]:
    """Name, region, country code, latitude and longitude of each town."""
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            towns = [
                (
                    " ".join(row["city"].split()),
                    " ".join(row["state"].split()),
                    row["country_code"],
                    float(row["latitude"]),
                    float(row["longitude"]),
                )
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected a CSV of city, state, country_code, latitude, longitude (--cities); "
            f"{type(error).__name__}: {error}"
        ) from None
    for town in towns:
        if not (abs(town[3]) <= 90.0 and abs(town[4]) <= 180.0):  # a NaN compares as False
            raise ValueError(
                f"{path}: {town}: expected degrees of latitude and longitude (--cities)"
            )
    if not towns:
        raise ValueError(f"{path}: no town, expected at least one row (--cities)")
    return towns


def _town_arrays(towns: list[tuple[str, str, str, float, float]], number: dict[str, int]) -> dict:
    # Neighbours in the file compress best, and the reader finds a country's towns as one slice.
    towns = sorted(towns, key=lambda town: (number[town[2]], town[1], math.floor(town[3]), town[4]))
    regions = sorted({town[1] for town in towns})
    region_number = {region: index for index, region in enumerate(regions)}
    latlng = np.array([town[3:] for town in towns])
    return {
        "names": _text([town[0] for town in towns]),
        "regions": _text(regions),
        "region": np.array([region_number[town[1]] for town in towns], np.uint16),
        "country": np.array([number[town[2]] for town in towns], np.uint16),
        "latlng": np.rint(latlng * _COORDINATES_PER_DEGREE).astype(np.int32).T.copy(),
    }


def _outline_arrays(rings: list[tuple[int, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        "ring_country": np.array([country for country, _ in rings], np.uint16),
        "ring_length": np.array([len(ring) for _, ring in rings], np.int32),
        "latlng": np.rint(np.concatenate([ring for _, ring in rings]) * _COORDINATES_PER_DEGREE)
        .astype(np.int32)
        .T.copy(),
    }


def _text(lines: list[str]) -> np.ndarray:
    """Lines as one uint8 array: NumPy's own string arrays pad every line to the longest."""
    return np.frombuffer("\n".join(lines).encode("utf-8"), np.uint8)


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_file(path) as file:
        np.savez_compressed(file, **arrays)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m data.place_names",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cities", required=True, type=Path, help="GeoNames places as CSV")
    parser.add_argument("--countries", required=True, type=Path, help="Natural Earth GeoJSON")
    parser.add_argument("--out", required=True, type=Path, help="folder of the two tables")
    values = parser.parse_args(arguments)
    try:
        paths = build_place_data(values.cities, values.countries, values.out)
    except ValueError as error:
        parser.exit(2, f"{error}\n")
    for path in paths:
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
