r"""Make the file of places and countries that the package ships.

    python -m data.place_names --towns=geonames_cities1000.csv.gz \
        --countries=ne_50m_admin_0_countries.geojson --country_names=country_codes.csv

`--towns` is a CSV table of city, state, country_code, latitude, longitude, population from GeoNames
(CC BY 4.0), `--countries` Natural Earth's 1:50m countries (public domain), `--country_names` a
table of ISO code and name without a header. The same input gives the same bytes.
"""

import argparse
import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.command_end import one_line_errors, run_command
from geosurge_jax.geo import atomic_file
from geosurge_jax.geo.place_table import DATA_FILE, SCALE

# Natural Earth gives these polygons no ISO code. GeoNames lists their towns under the code given
# here. Siachen and the Indian Ocean Territories ("") take the country of the nearest town.
_CODES = {"FRA": "FR", "NOR": "NO", "CYN": "CY", "SOL": "SO", "ATC": "AU", "KAS": "", "IOA": ""}

# GeoNames lists the towns of Crimea in Ukraine, Natural Earth draws it as a polygon of Russia. A point there
# would be named after a town across the sea, so the polygon goes to the country of its towns.
# (Natural Earth's code, code of the towns, south, north, west, east in degrees)
_BY_TOWNS = (("RU", "UA", 44.0, 46.5, 32.0, 37.0),)

# Short names in use, where both sources have an official, abbreviated or outdated form.
_NAMES = {
    "BN": "Brunei",
    "BQ": "Caribbean Netherlands",
    "CD": "Democratic Republic of the Congo",
    "CG": "Republic of the Congo",
    "CI": "Côte d'Ivoire",
    "CV": "Cape Verde",
    "FK": "Falkland Islands",
    "FM": "Micronesia",
    "HM": "Heard Island and McDonald Islands",
    "IR": "Iran",
    "KP": "North Korea",
    "KR": "South Korea",
    "LA": "Laos",
    "LY": "Libya",
    "MD": "Moldova",
    "PN": "Pitcairn Islands",
    "PS": "Palestine",
    "MK": "North Macedonia",
    "RE": "Réunion",
    "RU": "Russia",
    "SZ": "Eswatini",
    "ST": "São Tomé and Príncipe",
    "SY": "Syria",
    "TZ": "Tanzania",
    "VA": "Vatican City",
    "VG": "British Virgin Islands",
    "VN": "Vietnam",
    "VI": "United States Virgin Islands",
    "AX": "Åland",
    "BL": "Saint Barthélemy",
    "CW": "Curaçao",
}


@one_line_errors()
def main() -> None:
    """Read the three sources and write the package's data file."""
    parser = argparse.ArgumentParser(
        prog="python -m data.place_names", description="Make the package's place names."
    )
    for option in ("towns", "countries", "country_names"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    arguments = parser.parse_args()
    codes, rings, ring_codes = read_countries(arguments.countries)
    with open(arguments.country_names, encoding="utf-8") as file:
        names = {code: name for code, name in csv.reader(file)} | _NAMES
    with gzip.open(arguments.towns, "rt", encoding="utf-8") as file:
        towns = list(csv.DictReader(file))
    codes = sorted({*codes, *(town["country_code"] for town in towns)})
    arrays: dict[str, Any] = town_arrays(towns, codes) | ring_arrays(rings, ring_codes, codes)
    arrays["country_codes"] = np.array(codes)
    arrays["country_names"] = np.array([names.get(code, "") for code in codes])
    with atomic_file(DATA_FILE) as file:
        np.savez_compressed(file, **arrays)
    print(f"{len(towns)} towns, {len(rings)} rings, {DATA_FILE.stat().st_size} bytes: {DATA_FILE}")


def read_countries(path: Path) -> tuple[set[str], list[np.ndarray], list[str]]:
    """Return all ISO codes, the rings `[V, 2]` of all polygons, and the code of each ring."""
    rings, ring_codes = [], []
    for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
        properties, geometry = feature["properties"], feature["geometry"]
        name, iso = str(properties["adm0_a3"]), str(properties["iso_a2"])
        code = _CODES.get(name, iso)
        polygons = geometry["coordinates"]
        for polygon in [polygons] if geometry["type"] == "Polygon" else polygons:
            for ring in polygon:
                rings.append(np.array(ring, np.float64)[:-1, ::-1])
                ring_codes.append(_code_by_towns(code, rings[-1]))
    return set(ring_codes), rings, ring_codes


def _code_by_towns(code: str, ring: np.ndarray) -> str:
    """The code that GeoNames lists the towns of a ring under, where the sources differ."""
    (south, west), (north, east) = ring.min(axis=0), ring.max(axis=0)
    for drawn, listed, low, high, left, right in _BY_TOWNS:
        if code == drawn and low < south and north < high and left < west and east < right:
            return listed
    return code


def town_arrays(towns: list[dict[str, str]], codes: list[str]) -> dict[str, np.ndarray]:
    """Return names, regions, countries and coordinates of towns, ordered by country, then name."""
    towns = sorted(towns, key=lambda town: (town["country_code"], town["state"], town["city"]))
    regions = sorted({town["state"] for town in towns})
    region_index = {region: index for index, region in enumerate(regions)}
    country_index = {code: index for index, code in enumerate(codes)}
    degrees = np.array([(float(town["latitude"]), float(town["longitude"])) for town in towns])
    return {
        "town_names": _lines([town["city"] for town in towns]),
        "town_latlng": np.round(degrees * SCALE).astype(np.int32).T,
        "town_country": np.array([country_index[town["country_code"]] for town in towns], np.uint8),
        "town_region": np.array([region_index[town["state"]] for town in towns], np.uint16),
        "region_names": _lines(regions),
    }


def ring_arrays(
    rings: list[np.ndarray], ring_codes: list[str], codes: list[str]
) -> dict[str, np.ndarray]:
    """Return the rings, smallest country first: where polygons overlap, an enclave wins."""
    area: dict[str, float] = {}
    for ring, code in zip(rings, ring_codes, strict=True):
        y, x = ring.T
        area[code] = area.get(code, 0.0) + abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    order = sorted(area, key=lambda code: area[code])
    owners = [order.index(code) for code in ring_codes]
    points = np.round(np.concatenate(rings) * SCALE).astype(np.int32)
    return {
        "ring_points": np.diff(points, axis=0, prepend=np.int32(0)).astype(np.int32).T,
        "ring_lengths": np.array([len(ring) for ring in rings], np.int32),
        "ring_owner": np.array(owners, np.uint8),
        "owner_country": np.array([codes.index(code) for code in order], np.uint8),
    }


def _lines(texts: list[str]) -> np.ndarray:
    """Return texts as the bytes of one UTF-8 text with a line each, uint8."""
    return np.frombuffer("\n".join(texts).encode(), np.uint8)


if __name__ == "__main__":
    run_command("data.place_names")
