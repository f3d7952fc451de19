"""Who photographs where and when: locations and authors like those of a photo collection."""

from dataclasses import dataclass

import numpy as np

from geosurge_jax.geo import EARTH_RADIUS_KM, latlng_from_unit_vectors, on_land, unit_vectors
from geosurge_jax.synthetic_earth.geography import World, appeal, random_land
from geosurge_jax.synthetic_earth.light import WEATHERS, Nuisance

_RURAL_SHARE = 0.15
_PHOTOS_PER_AUTHOR = (3, 8)
_CITY_SPREAD_KM = (4.0, 14.0)  # standard deviations of an author's home around a city's centre
_WALK_KM = 2.5
_WEATHER_SHARES = (0.45, 0.28, 0.14, 0.08, 0.05)
_NIGHT_SHARE = 0.04
_REPEAT_SHARE = 0.2
_TRIES = 24


@dataclass(frozen=True)
class Plan:
    """Where each of M photos is taken, by whom, and what it shows.

    Attributes:
        latlng: Degrees, float64 [M, 2], rounded to 1e-6, on land.
        author: Number of its author, int64 [M], ascending; an author's photos lie together.
        viewpoint: Seed of its viewpoint, int64 [M]; near-duplicates share it, and their author.
    """

    latlng: np.ndarray
    author: np.ndarray
    viewpoint: np.ndarray


def plan_photos(world: World, count: int, seed: int) -> Plan:
    """Places for `count` photos: clustered around cities with a diffuse rural share."""
    rng = np.random.default_rng([seed, 2])
    low, high = _PHOTOS_PER_AUTHOR
    sizes = rng.integers(low, high + 1, count // low + 1)
    author = np.repeat(np.arange(len(sizes)), sizes)[:count]
    homes = _homes(world, rng, len(sizes))
    latlng = _scatter(rng, homes[author], np.full(count, _WALK_KM))
    viewpoint = rng.integers(0, 1 << 62, count)
    again = (rng.random(count) < _REPEAT_SHARE) & (author == np.roll(author, 1))
    again[:1] = False
    for photo in np.flatnonzero(again):
        viewpoint[photo] = viewpoint[photo - 1]
        latlng[photo] = latlng[photo - 1]
    return Plan(latlng=latlng, author=author, viewpoint=viewpoint)


def sample_locations(world: World, count: int, seed: int) -> np.ndarray:
    """Where `count` photos are taken: degrees, float64 [count, 2], rounded to 1e-6."""
    return plan_photos(world, count, seed).latlng


def sample_nuisance(seed: int, index: int, author: int, viewpoint: int) -> Nuisance:
    """The conditions of photo `index`: its own season, hour and weather, its author's camera."""
    photo = np.random.default_rng([seed, 3, index])
    camera = np.random.default_rng([seed, 4, author])
    cast = 1 + 0.025 * camera.normal(size=3) + 0.012 * photo.normal(size=3)
    red, green, blue = np.clip(cast, 0.8, 1.2).tolist()
    night = photo.random() < _NIGHT_SHARE
    hour = photo.uniform(18.5, 29.0) % 24 if night else photo.uniform(8.0, 17.5)
    return Nuisance(
        season=float(photo.random()),
        hour=float(hour),
        weather=WEATHERS[int(photo.choice(len(WEATHERS), p=_WEATHER_SHARES))],
        exposure=float(0.08 * camera.normal() + 0.12 * photo.normal()),
        cast=(red, green, blue),
        viewpoint=viewpoint,
    )


def _homes(world: World, rng: np.random.Generator, count: int) -> np.ndarray:
    """Where each author photographs, [count, 2]."""
    city = rng.choice(len(world.cities), count, p=world.weights)
    spread = rng.uniform(*_CITY_SPREAD_KM, count)
    homes = _scatter(rng, world.cities[city], spread)
    rural = rng.random(count) < _RURAL_SHARE
    land = random_land(rng, 4 * int(rural.sum()) + 400)
    weights = 0.1 + np.sqrt(appeal(land))
    homes[rural] = land[rng.choice(len(land), int(rural.sum()), p=weights / weights.sum())]
    return np.round(homes, 6)


def _scatter(rng: np.random.Generator, centres: np.ndarray, spread_km: np.ndarray) -> np.ndarray:
    """Points on land around centres [M, 2] on land; where no try hits land, the centre itself."""
    result = np.round(centres, 6)
    missing = np.arange(len(centres))
    for _ in range(_TRIES):
        steps = rng.normal(size=(len(missing), 3)) * (spread_km[missing, None] / EARTH_RADIUS_KM)
        tries = np.round(latlng_from_unit_vectors(unit_vectors(centres[missing]) + steps), 6)
        hit = on_land(tries)
        result[missing[hit]] = tries[hit]
        missing = missing[~hit]
        if not len(missing):
            break
    return result
