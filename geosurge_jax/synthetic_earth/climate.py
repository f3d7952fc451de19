"""Altitude, moisture, temperature and distance to the sea at any point of the generated Earth."""

import functools
from dataclasses import dataclass

import numpy as np

from geosurge_jax.geo import EARTH_RADIUS_KM, land_outlines, unit_vectors
from geosurge_jax.synthetic_earth.atlas import MOISTURE, RANGES, WARMTH, Spot

_CREST_STEP_KM = 60.0
_SHORE_STEP_KM = 25.0
_CHUNK = 256


@dataclass(frozen=True)
class Climate:
    """Climate at M points, each field float64 [M].

    Attributes:
        altitude_km: Height above the sea.
        coast_km: Distance to the nearest shore.
        moisture: 0 (desert) to 1 (rain forest).
        temperature: Yearly mean, degrees Celsius.
        seasonality: Half the difference of the warmest and the coldest month, degrees Celsius;
            negative south of the equator, where January is warm.
    """

    altitude_km: np.ndarray
    coast_km: np.ndarray
    moisture: np.ndarray
    temperature: np.ndarray
    seasonality: np.ndarray

    def month_temperature(self, season: float) -> np.ndarray:
        """Temperature [M] at a fraction `season` of the year (0 = 1 January)."""
        return self.temperature - self.seasonality * np.cos(2 * np.pi * (season - 0.05))


def climate_of(latlng: np.ndarray, weather_noise: np.ndarray) -> Climate:
    """The climate at latlng [M, 2] degrees, roughened by a unit field `weather_noise` [M]."""
    vectors = unit_vectors(latlng)
    latitude = latlng[:, 0]
    sine = np.abs(np.sin(np.deg2rad(latitude)))
    altitude = _altitude_km(vectors) * (1 + 0.15 * weather_noise)
    coast = _coast_km(vectors)
    inland = 1 - np.exp(-coast / 500.0)
    belts = 0.45 + 0.45 * np.exp(-((latitude / 13.0) ** 2))
    belts -= 0.22 * np.exp(-(((np.abs(latitude) - 25) / 9.0) ** 2))
    belts += 0.10 * np.exp(-(((np.abs(latitude) - 52) / 12.0) ** 2))
    moisture = belts + spots(vectors, MOISTURE) - 0.15 * inland + 0.08 * weather_noise
    warmth = 27.5 - 44.0 * sine**2.3 + spots(vectors, WARMTH) * np.exp(-coast / 1500.0)
    amplitude = (1.5 + 17.0 * sine**1.6) * (0.45 + 0.75 * inland)
    return Climate(
        altitude_km=altitude,
        coast_km=coast,
        moisture=np.clip(moisture, 0.0, 1.0),
        temperature=warmth - 5.5 * altitude,
        seasonality=np.sign(latitude) * amplitude,
    )


def spots(vectors: np.ndarray, table: tuple[Spot, ...]) -> np.ndarray:
    """Sum [M] of a table's Gaussian patches at unit vectors [M, 3]."""
    centres, widths, amounts = _spot_arrays(table)
    distance = EARTH_RADIUS_KM * np.arccos(np.clip(vectors @ centres.T, -1.0, 1.0))
    return np.exp(-((distance / widths) ** 2)) @ amounts


@functools.lru_cache
def _spot_arrays(table: tuple[Spot, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.array([spot[1:] for spot in table], np.float64)
    return unit_vectors(rows[:, :2]), rows[:, 2], rows[:, 3]


def _altitude_km(vectors: np.ndarray) -> np.ndarray:
    crests, heights, widths = _crest_arrays()
    distance = EARTH_RADIUS_KM * np.arccos(np.clip(vectors @ crests.T, -1.0, 1.0))
    return np.max(heights * np.exp(-((distance / widths) ** 2)), axis=1)


@functools.lru_cache
def _crest_arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lines = [_dense_line(np.array(row.crest, np.float64), _CREST_STEP_KM) for row in RANGES]
    lengths = [len(line) for line in lines]
    heights = np.repeat([row.height_km for row in RANGES], lengths)
    widths = np.repeat([row.width_km for row in RANGES], lengths)
    return np.concatenate(lines), heights, widths


def _coast_km(vectors: np.ndarray) -> np.ndarray:
    shore = _shore_vectors()
    nearest = [
        np.max(vectors[first : first + _CHUNK] @ shore.T, axis=1)
        for first in range(0, len(vectors), _CHUNK)
    ]
    return EARTH_RADIUS_KM * np.arccos(np.clip(np.concatenate(nearest), -1.0, 1.0))


@functools.lru_cache
def _shore_vectors() -> np.ndarray:
    rings = [np.asarray(ring, np.float64) for ring in land_outlines()]
    closed = [np.concatenate([ring, ring[:1]]) for ring in rings]
    return np.concatenate([_dense_line(ring, _SHORE_STEP_KM) for ring in closed])


def _dense_line(latlng: np.ndarray, step_km: float) -> np.ndarray:
    """Unit vectors [V, 3] at most `step_km` apart along a polyline [N, 2] of short segments."""
    corners = unit_vectors(latlng)
    pieces = [corners[:1]]
    for start, end in zip(corners[:-1], corners[1:], strict=True):
        count = max(1, int(np.ceil(EARTH_RADIUS_KM * np.linalg.norm(end - start) / step_km)))
        share = np.arange(1, count + 1)[:, None] / count
        points = start + share * (end - start)
        pieces.append(points / np.linalg.norm(points, axis=1, keepdims=True))
    return np.concatenate(pieces)
