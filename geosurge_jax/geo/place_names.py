"""Names of places without a network: country, region, nearest town with its distance, ocean.

Towns are GeoNames places of 1,000 people or more, outlines are Natural Earth's 1:50m countries;
`place_data/README.md` has sources and licences. The tables are read at the first call.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from geosurge_jax.geo.countries import (
    COORDINATES_PER_DEGREE,
    containing_country,
    load_countries,
    load_place_table,
    text_lines,
)
from geosurge_jax.geo.oceans import ocean_names
from geosurge_jax.geo.s2 import check_latlng
from geosurge_jax.geo.sphere import EARTH_RADIUS_KM, latlng_from_unit_vectors, unit_vectors

IN_TOWN_KM = 10.0  # up to this distance a point is named as if it were in its town

_BORDER_KM = 3.0  # how far a generalised border or coast may lie from the true one
_TRUSTED_TOWN_KM = 5.0  # this close to a town, the town decides on which side of such a border
_PROBES = 8  # points on a circle of _BORDER_KM that tell which countries are that close


@dataclass(frozen=True)
class PlaceName:
    """The name of a place.

    Attributes:
        country: name of the country or territory; empty at sea.
        country_code: ISO 3166-1 alpha-2; empty at sea and where there is none.
        region: first-level region of the nearest town; empty at sea and where there is none.
        town: nearest town, in the same country where that has one.
        town_country: name of the town's country.
        town_distance_km: great-circle distance to the town, in km.
        water: name of the ocean or sea; empty on land.
    """

    country: str
    country_code: str
    region: str
    town: str
    town_country: str
    town_distance_km: float
    water: str

    def __str__(self) -> str:
        distance = f"{self.town_distance_km:.0f} km from "
        if self.water or self.town_country != self.country:
            return (
                f"{self.water or self.country}, {distance}{_joined(self.town, self.town_country)}"
            )
        name = _joined(self.town, self.region, self.country)
        return name if self.town_distance_km <= IN_TOWN_KM else distance + name


@dataclass(frozen=True, eq=False)
class _Towns:
    """All towns, `[M]`, sorted by country."""

    names: list[str]
    regions: list[str]
    region: np.ndarray  # uint16 [M], index in regions
    country: np.ndarray  # int64 [M], index in load_countries()
    outline: np.ndarray  # int64 [M], the country whose outline holds the town's territory
    points: np.ndarray  # unit vectors, float64 [M, 3]
    tree: cKDTree


def name_places(latlng: np.ndarray) -> list[PlaceName]:
    """Return the name of each point.

    The country is that whose outline holds the point. Within 3 km of an outline's edge the outline
    may be wrong; there the nearest town decides, if it is at most 5 km away.

    Args:
        latlng: degrees, `[M, 2]`, any real dtype. Longitudes 180 and -180 are one meridian.

    Returns:
        M names.

    Raises:
        ValueError: wrong shape, or a row is not finite or out of range; names the row and its value.
    """
    latlng = check_latlng(latlng)
    latlng = np.where(latlng == [np.inf, 180.0], -180.0, latlng)
    towns = _load_towns()
    points = unit_vectors(latlng)
    _, town = towns.tree.query(points)
    outline = _outline_of(latlng, points, town)
    _use_towns_of_the_same_outline(points, outline, town)
    distance = _distance_km(points, towns.points[town])
    water = ocean_names(latlng)
    return [
        _place_name(int(outline[row]), int(town[row]), float(distance[row]), water[row])
        for row in range(len(latlng))
    ]


def _outline_of(latlng: np.ndarray, points: np.ndarray, town: np.ndarray) -> np.ndarray:
    """Return the country index of the outline that each point belongs to, -1 at sea."""
    towns, countries = _load_towns(), load_countries()
    around = latlng_from_unit_vectors(_circles(points, _BORDER_KM)).reshape(-1, 2)
    possible = containing_country(np.concatenate([latlng, around]))
    outline = possible[: len(latlng)]
    nearby = possible[len(latlng) :].reshape(len(latlng), _PROBES)
    # A point just off a generalised coast is on its land.
    outline = np.where(outline < 0, nearby.max(axis=1, initial=-1), outline)
    owner = towns.outline[town]
    can_be = (nearby == owner[:, None]).any(axis=1) | ~countries.has_outline[owner]
    close = _distance_km(points, towns.points[town]) <= _TRUSTED_TOWN_KM
    return np.where(can_be & close, owner, outline)


def _circles(points: np.ndarray, radius_km: float) -> np.ndarray:
    """Return `[M, _PROBES, 3]` unit vectors around each of the points `[M, 3]`."""
    # The axis farthest from a point is never parallel to it, at the poles neither.
    away = np.eye(3)[np.argmin(np.abs(points), axis=1)]
    first = np.cross(points, away)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(points, first)
    turn = np.arange(_PROBES)[:, None] * (2.0 * math.pi / _PROBES)
    radius = radius_km / EARTH_RADIUS_KM
    direction = np.cos(turn) * first[:, None] + np.sin(turn) * second[:, None]
    return math.cos(radius) * points[:, None] + math.sin(radius) * direction


def _use_towns_of_the_same_outline(
    points: np.ndarray, outline: np.ndarray, town: np.ndarray
) -> None:
    """Replace, in place, towns across a border by the nearest one on the point's own side."""
    other = np.flatnonzero((outline >= 0) & (_load_towns().outline[town] != outline))
    for index in np.unique(outline[other]):
        rows = other[outline[other] == index]
        members, tree = _towns_of_outline(int(index))
        if tree is not None:
            town[rows] = members[tree.query(points[rows])[1]]


def _place_name(outline: int, town: int, distance_km: float, water: str) -> PlaceName:
    towns, countries = _load_towns(), load_countries()
    country = int(towns.country[town])
    town_name, town_country = towns.names[town], countries.names[country]
    if outline < 0:
        return PlaceName("", "", "", town_name, town_country, distance_km, water)
    if towns.outline[town] != outline:  # no town there, as in Antarctica
        name, code = countries.names[outline], countries.codes[outline]
        return PlaceName(name, code, "", town_name, town_country, distance_km, "")
    region = towns.regions[towns.region[town]]
    code = countries.codes[country]
    return PlaceName(town_country, code, region, town_name, town_country, distance_km, "")


def _distance_km(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return great-circle distances `[M]` in km between unit vectors `[M, 3]`, without cancellation."""
    apart, sum_length = np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1)
    return 2.0 * EARTH_RADIUS_KM * np.arctan2(apart, sum_length)


def _joined(*parts: str) -> str:
    """Return the parts with commas, without empty ones and repetitions (Singapore, Singapore)."""
    return ", ".join(dict.fromkeys(part for part in parts if part))


@functools.cache
def _load_towns() -> _Towns:
    # Two threads that call this first may both read the table; they get equal, immutable results.
    table = load_place_table("towns.npz")
    country = table["country"].astype(np.int64)
    points = unit_vectors(table["latlng"].T / COORDINATES_PER_DEGREE)
    return _Towns(
        names=text_lines(table["names"]),
        regions=text_lines(table["regions"]),
        region=table["region"],
        country=country,
        outline=load_countries().outline[country],
        points=points,
        # A sliding-midpoint tree is built in a fraction of the time of a balanced one.
        tree=cKDTree(points, balanced_tree=False, compact_nodes=False),
    )


@functools.cache
def _towns_of_outline(outline: int) -> tuple[np.ndarray, cKDTree | None]:
    """Return the indices of an outline's towns and their tree, None where it has no town."""
    towns = _load_towns()
    members = np.flatnonzero(towns.outline == outline)
    return members, cKDTree(towns.points[members]) if len(members) else None
