"""Coarse land: which continent a point belongs to, whether it is on land, outlines to draw.

The outlines (land.json, which says how they were derived) follow Natural Earth's 1:110m countries,
merged by continent and rounded to 0.1 degrees: good for rows of a table and for a world map, not
for coasts within some 20 km. As there, a country counts as a whole where Natural Earth puts it: all
of Russia is Europe, all of Turkey Asia, Hawaii North America.
"""

import functools
import json
from importlib.resources import files

import numpy as np

from geosurge_jax.geo.outlines import Outlines, pieces
from geosurge_jax.geo.s2 import check_latlng
from geosurge_jax.geo.sphere import EARTH_RADIUS_KM, unit_vectors

CONTINENTS = (
    "Africa",
    "Antarctica",
    "Asia",
    "Europe",
    "North America",
    "Oceania",
    "South America",
)

NEAREST_LAND_KM = 500.0

_POINTS_AT_A_TIME = 512
_COAST_SPACING = 0.5  # degrees between points along a coast when looking for the nearest land


def land_outlines() -> list[np.ndarray]:
    """Outlines of all land, degrees [V, 2] each, closed from the last point to the first.

    A few are lakes and holes. No outline crosses the antimeridian; that of Antarctica runs along
    180, -90 and -180 degrees.
    """
    return [ring for _, ring in _rings()]


def on_land(latlng: np.ndarray) -> np.ndarray:
    """Whether points lie inside the coarse outlines, bool [M], from degrees [M, 2].

    Raises:
        ValueError: a row is not finite or out of range; names the row and its value.
    """
    return _outlines().containing(check_latlng(latlng)) >= 0


def continent_of(latlng: np.ndarray) -> np.ndarray:
    """Continents of points: indices in `CONTINENTS`, int32 [M], from degrees [M, 2].

    A point at sea belongs to the nearest land, or to none (-1) where that is more than 500 km away.

    Raises:
        ValueError: a row is not finite or out of range; names the row and its value.
    """
    latlng = check_latlng(latlng)
    continents = _outlines().containing(latlng)
    at_sea = np.flatnonzero(continents < 0)
    coast, coast_continents = _coast()
    closest_cosine = np.cos(NEAREST_LAND_KM / EARTH_RADIUS_KM)
    for rows in pieces(at_sea, _POINTS_AT_A_TIME):
        cosines = unit_vectors(latlng[rows]) @ coast.T
        nearest = np.argmax(cosines, axis=1)
        close = np.take_along_axis(cosines, nearest[:, None], axis=1)[:, 0] >= closest_cosine
        continents[rows] = np.where(close, coast_continents[nearest], -1)
    return continents


@functools.cache
def _outlines() -> Outlines:
    return Outlines([ring for _, ring in _rings()], np.array([owner for owner, _ in _rings()]))


@functools.cache
def _rings() -> list[tuple[int, np.ndarray]]:
    """Continent and outline, degrees [V, 2], of each ring of land.json."""
    stored = json.loads(files("geosurge_jax.geo").joinpath("land.json").read_text(encoding="utf-8"))
    return [
        (continent, np.array(ring, np.float64).reshape(-1, 2) / 10.0)
        for continent, name in enumerate(CONTINENTS)
        for ring in stored["rings"][name]
    ]


@functools.cache
def _coast() -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [V, 3] of points along all outlines and their continents int32 [V]."""
    points, continents = [], []
    for continent, ring in _rings():
        step = np.roll(ring, -1, axis=0) - ring
        count = np.maximum(np.ceil(np.abs(step).max(axis=1) / _COAST_SPACING).astype(int), 1)
        corner = np.repeat(np.arange(len(ring)), count)
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        points.append(ring[corner] + step[corner] * (place / count[corner])[:, None])
        continents.append(np.full(count.sum(), continent, np.int32))
    return unit_vectors(np.concatenate(points)), np.concatenate(continents)
