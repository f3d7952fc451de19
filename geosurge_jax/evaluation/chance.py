"""Chance: what answering with the location of a random training photo would score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geosurge_jax.evaluation.metrics import RADII_KM, distance_protocol, geoscore
from geosurge_jax.geo import check_latlng, within

# Pairs that take a few seconds: a pair on a sphere takes 0.1 us, one on an ellipsoid 60 us.
_PAIRS_ON_SPHERE = 20_000_000
_PAIRS_ON_ELLIPSOID = 50_000
_PAIRS_AT_A_TIME = 1 << 18


@dataclass(frozen=True)
class Chance:
    """Expected scores of drawing the answer from the training locations.

    Attributes:
        radii_km: ascending.
        accuracy: expected share 0..1 within each radius.
        mean_km: expected distance.
        geoscore: expected GeoScore.
        train_count: training locations.
        sampled: how many of them the expectation was taken over; all, or a random part.
    """

    radii_km: tuple[float, ...]
    accuracy: tuple[float, ...]
    mean_km: float
    geoscore: float
    train_count: int
    sampled: int


def training_density_chance(
    train_latlng: np.ndarray,
    test_latlng: np.ndarray,
    protocol: str = "sphere_6371",
    radii_km: Sequence[float] = RADII_KM,
    comparison: str = "<=",
    max_pairs: int | None = None,
    seed: int = 0,
) -> Chance:
    """The expectation over all pairs of a test photo and a training location.

    Where that would be more than `max_pairs`, the training locations are sampled down to it,
    without replacement and the same for every test photo; the result says how many were left.

    Args:
        train_latlng: degrees `[M, 2]`.
        test_latlng: degrees `[N, 2]`.
        protocol: a name in `geosurge_jax.geo.DISTANCE_PROTOCOLS`.
        radii_km: ascending.
        comparison: "<=" or "<".
        max_pairs: None for what takes a few seconds: 20 million on a sphere, 50 000 on the
            ellipsoid.
        seed: of the sample.

    Raises:
        ValueError: there is no training or no test location, a coordinate is bad, or a name is
            unknown.
    """
    measure = distance_protocol(protocol)
    train, test = check_latlng(train_latlng), check_latlng(test_latlng)
    if not len(train) or not len(test):
        raise ValueError(
            f"there are {len(train)} training and {len(test)} test locations, expected some of both"
        )
    if max_pairs is None:
        max_pairs = _PAIRS_ON_ELLIPSOID if measure.radius_km is None else _PAIRS_ON_SPHERE
    keep = max(max_pairs // len(test), 1)
    train_count = len(train)
    if keep < train_count:
        train = np.random.default_rng(seed).choice(train, keep, replace=False)
    hits, km_sum, score_sum = np.zeros(len(radii_km)), 0.0, 0.0
    rows = max(_PAIRS_AT_A_TIME // len(train), 1)
    for start in range(0, len(test), rows):
        km = measure.distance_km(train[None], test[start : start + rows, None])
        hits += [np.sum(within(km, radius, comparison)) for radius in radii_km]
        km_sum += float(np.sum(km))
        score_sum += float(np.sum(geoscore(km)))
    pairs = len(train) * len(test)
    return Chance(
        radii_km=tuple(float(radius) for radius in radii_km),
        accuracy=tuple((hits / pairs).tolist()),
        mean_km=km_sum / pairs,
        geoscore=score_sum / pairs,
        train_count=train_count,
        sampled=len(train),
    )
