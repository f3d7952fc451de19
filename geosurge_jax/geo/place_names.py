"""Names of places, offline: country, first-level region, nearest town and its distance, or the sea.

The country comes from Natural Earth's 1:50m outlines, so that a point near a border belongs to its
own country and not to that of the nearest town across it. Towns and regions come from GeoNames
(places of 1,000 people and more, CC BY 4.0). All distances are great circles.

Packages that do this offline (reverse_geocode 1.6.6, reverse_geocoder 1.5.1) return the nearest
town by the difference in degrees. They have no distance, no country outline and no sea, and they
are wrong across the antimeridian and near the poles, so this module does not use them.
"""

from dataclasses import dataclass

import numpy as np

from geosurge_jax.geo.place_table import PlaceTable, place_table
from geosurge_jax.geo.s2 import check_latlng
from geosurge_jax.geo.sphere import EARTH_RADIUS_KM, latlng_from_unit_vectors, unit_vectors
from geosurge_jax.geo.waters import water_name

_IN_TOWN_KM = 2.0  # nearer than this a point is said to be in the town
# The outlines are drawn for 1:50,000,000. So close to a town its own country is more certain, and
# so close to a coast a point counts as land.
_OUTLINE_KM = 1.0
_COAST_KM = (2.0, 5.0)
_SMALL_ISLAND_KM = 10.0  # a town this close at sea is on an island too small for the outlines
_DIRECTIONS = 8


@dataclass(frozen=True)
class PlaceName:
    """Names for one point.

    Attributes:
        country: Name of the country that holds the point; "" at sea.
        country_code: Its ISO 3166 two-letter code; "" at sea.
        region: First-level region of `town`; "" where GeoNames has none.
        town: Nearest town, in the same country where the point is on land and the country has one.
        town_distance_km: Great-circle distance to the town.
        town_country: Name of the town's country.
        water: Name of the ocean or sea; "" on land.
    """

    country: str
    country_code: str
    region: str
    town: str
    town_distance_km: float
    town_country: str
    water: str

    def __str__(self) -> str:
        """Return a caption, for example "4 km from Reine, Nordland, Norway"."""
        region = "" if self.region in (self.town, self.town_country) else self.region
        parts = [self.town, region]
        if self.town_country != self.town:
            parts.append(self.town_country)
        town = ", ".join(part for part in parts if part)
        if self.water or self.country != self.town_country:
            where = self.water or self.country
            return f"{where}, {_distance(self.town_distance_km)} from {town}"
        if self.town_distance_km <= _IN_TOWN_KM:
            return town
        return f"{_distance(self.town_distance_km)} from {town}"


def name_places(latlng: np.ndarray) -> list[PlaceName]:
    """Return a name for each point of the Earth.

    The first call reads the shipped data. Safe to call from several threads.

    Args:
        latlng: Degrees, float64 `[M, 2]`.

    Returns:
        `M` names. Every point has one: at sea `water` is set and `town` is the nearest town of all.

    Raises:
        ValueError: A row is not finite or out of range; names the row and its value.
    """
    latlng = check_latlng(latlng)
    if not len(latlng):
        return []
    table = place_table()
    town, distance = table.nearest_town(latlng)
    country = _countries(table, latlng, town, distance)
    for index in np.unique(country[country >= 0]).tolist():
        rows = np.flatnonzero(country == index)
        town[rows], distance[rows] = table.nearest_town_of(index, latlng[rows])
        # Overseas parts drawn within another country have codes of their own.
        own = table.family[table.country[town[rows]]] == table.family[index]
        own |= table.country_codes[index] == ""
        country[rows] = np.where(own, table.country[town[rows]], index)
    return [
        _place(table, point, *parts)
        for point, *parts in zip(
            latlng.tolist(), country.tolist(), town.tolist(), distance.tolist(), strict=True
        )
    ]


def _countries(
    table: PlaceTable, latlng: np.ndarray, town: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    """Return the country index of each point, int32 `[M]`, -1 at sea."""
    country = table.country_at(latlng)
    for radius_km in _COAST_KM:
        rows = np.flatnonzero(country < 0)
        if len(rows):
            around = _ring_around(latlng[rows], radius_km)
            found = table.country_at(around.reshape(-1, 2)).reshape(len(rows), _DIRECTIONS)
            first = np.argmax(found >= 0, axis=1)
            country[rows] = found[np.arange(len(rows)), first]
    island = (country < 0) & (distance <= _SMALL_ISLAND_KM)
    return np.where(island | (distance <= _OUTLINE_KM), table.country[town], country)


def _ring_around(latlng: np.ndarray, radius_km: float) -> np.ndarray:
    """Return points around each point, degrees `[M, directions, 2]`, about `radius_km` away."""
    vectors = unit_vectors(latlng)[:, None]
    # Any two axes at right angles to the vector and each other will do, also at the poles.
    helper = np.where(np.abs(vectors[..., 2:]) < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    east = np.cross(helper, vectors)
    east /= np.linalg.norm(east, axis=-1, keepdims=True)
    north = np.cross(vectors, east)
    angle = (np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS))[:, None]
    step = (np.cos(angle) * east + np.sin(angle) * north) * (radius_km / EARTH_RADIUS_KM)
    return latlng_from_unit_vectors(vectors + step)


def _place(
    table: PlaceTable, point: list[float], country: int, town: int, distance: float
) -> PlaceName:
    return PlaceName(
        country="" if country < 0 else table.country_names[country],
        country_code="" if country < 0 else table.country_codes[country],
        region=table.regions[table.region[town]].decode(),
        town=table.names[town].decode(),
        town_distance_km=distance,
        town_country=table.country_names[table.country[town]],
        water=water_name(*point) if country < 0 else "",
    )


def _distance(km: float) -> str:
    """Return a distance to read: whole kilometres, beyond 100 km to the nearest ten."""
    return f"{km:.0f} km" if km < 100 else f"{round(km, -1):,.0f} km"
