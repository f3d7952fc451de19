"""The world as a function of a seed: smooth fields over the sphere, cities, regions."""

import functools
from dataclasses import dataclass

import numpy as np

from geosurge_jax.geo import EARTH_RADIUS_KM, latlng_from_unit_vectors, on_land, unit_vectors
from geosurge_jax.synthetic_earth.atlas import CAMERAS
from geosurge_jax.synthetic_earth.climate import climate_of, spots
from geosurge_jax.synthetic_earth.regions import REGIONS

# What varies from place to place, three opponent channels each (light, warm, green), and `noise`.
ATTRIBUTES = (
    "wall", "roof", "trim", "paving", "asphalt", "soil", "rock", "leaf", "air", "noise",
)  # fmt: skip
SCALES_KM = (3000.0, 1000.0, 300.0)

_FEATURES = 96
_CITIES = 320
_CITY_GAP_KM = 210.0
_CITY_POWER = 0.6
_CANDIDATES = 24_000


@dataclass(frozen=True)
class World:
    """One generated Earth.

    Attributes:
        seed: What it was made from.
        frequencies: Random Fourier features of the fields, float64 [scales, features, 3].
        phases: float64 [scales, features].
        mixes: float64 [scales, features, attributes * 3].
        cities: Centres, degrees, float64 [N, 2], the greatest first.
        weights: Share of the city photos taken in each, float64 [N].
        accents: What sets a city's look apart, unit normal, float64 [N, attributes * 3].
        landmarks: An integer per city that picks its landmark's silhouette, int64 [N].
    """

    seed: int
    frequencies: np.ndarray
    phases: np.ndarray
    mixes: np.ndarray
    cities: np.ndarray
    weights: np.ndarray
    accents: np.ndarray
    landmarks: np.ndarray


@functools.lru_cache(maxsize=4)
def build_world(seed: int) -> World:
    """The world of a seed; the same seed gives the same world."""
    rng = np.random.default_rng([seed, 1])
    shape = (len(SCALES_KM), _FEATURES)
    frequencies = (
        rng.normal(size=(*shape, 3)) * (EARTH_RADIUS_KM / np.array(SCALES_KM))[:, None, None]
    )
    phases = rng.uniform(0, 2 * np.pi, shape)
    mixes = rng.normal(size=(*shape, 3 * len(ATTRIBUTES))) * np.sqrt(2.0 / _FEATURES)
    cities = _place_cities(rng)
    weights = np.arange(1, len(cities) + 1, dtype=np.float64) ** -_CITY_POWER
    return World(
        seed=seed,
        frequencies=frequencies,
        phases=phases,
        mixes=mixes,
        cities=cities,
        weights=weights / weights.sum(),
        accents=rng.normal(size=(len(cities), 3 * len(ATTRIBUTES))),
        landmarks=rng.integers(0, 1 << 30, len(cities)),
    )


def fields_at(world: World, latlng: np.ndarray) -> np.ndarray:
    """The smooth fields, unit variance, float64 [M, scales, attributes, 3]."""
    vectors = unit_vectors(latlng)
    values = [
        np.cos(vectors @ frequency.T + phase) @ mix
        for frequency, phase, mix in zip(world.frequencies, world.phases, world.mixes, strict=True)
    ]
    return np.stack(values, axis=1).reshape(len(latlng), len(SCALES_KM), len(ATTRIBUTES), 3)


def nearest_city(world: World, latlng: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index [M] of the nearest city and the distance to it [M], km."""
    cosines = unit_vectors(latlng) @ unit_vectors(world.cities).T
    nearest = np.argmax(cosines, axis=1)
    closest = cosines[np.arange(len(latlng)), nearest]
    return nearest, EARTH_RADIUS_KM * np.arccos(np.clip(closest, -1.0, 1.0))


def region_of(latlng: np.ndarray) -> np.ndarray:
    """Index [M] in REGIONS of the region with the nearest seed point."""
    return np.argmax(unit_vectors(latlng) @ _region_vectors().T, axis=1)


def random_land(rng: np.random.Generator, count: int) -> np.ndarray:
    """Up to `count` points [M, 2] drawn evenly over the sphere, those at sea left out."""
    latlng = latlng_from_unit_vectors(rng.normal(size=(count, 3)))
    return latlng[on_land(latlng)]


def appeal(latlng: np.ndarray) -> np.ndarray:
    """How many photos a place attracts, relative, float64 [M]: mild, green, coastal, well known."""
    climate = climate_of(latlng, np.zeros(len(latlng)))
    mild = np.exp(-(((climate.temperature - 15.0) / 12.0) ** 2))
    green = 0.15 + climate.moisture
    shore = 0.5 + np.exp(-climate.coast_km / 120.0)
    return mild * green * shore * (0.35 + spots(unit_vectors(latlng), CAMERAS))


@functools.lru_cache
def _region_vectors() -> np.ndarray:
    return unit_vectors(np.array([(row.latitude, row.longitude) for row in REGIONS], np.float64))


def _place_cities(rng: np.random.Generator) -> np.ndarray:
    """City centres [N, 2], drawn by appeal, no two closer than the gap, the greatest first."""
    candidates = random_land(rng, _CANDIDATES)
    # Sorting by these keys draws without replacement in proportion to the appeal.
    order = np.argsort(rng.exponential(size=len(candidates)) / appeal(candidates))
    vectors = unit_vectors(candidates)[order]
    limit = np.cos(_CITY_GAP_KM / EARTH_RADIUS_KM)
    free = np.ones(len(order), bool)
    chosen: list[int] = []
    while len(chosen) < _CITIES and free.any():
        first = int(np.argmax(free))
        chosen.append(int(order[first]))
        free &= vectors @ vectors[first] < limit
    return np.round(candidates[chosen], 4)
