"""The numbers of a table: accuracy within radii, median and mean distance, GeoScore."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geosurge_jax.evaluation.errors import PhotoErrors
from geosurge_jax.geo import (
    CONTINENTS,
    DISTANCE_PROTOCOLS,
    DistanceProtocol,
    continent_of,
    within,
)

RADII_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)
"""Street, city, region, country, continent: the five radii of the literature since Im2GPS3k."""

NO_CONTINENT = "Elsewhere"

_CONFIDENCE = 0.95
_DRAWS_AT_A_TIME = 1 << 21


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % bootstrap percentile interval, None where none was computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Scores:
    """The numbers of a set of photos.

    Attributes:
        count: photos.
        accuracy: share 0..1 of photos within each radius.
        median_km: median distance.
        mean_km: mean distance.
        geoscore: mean of 5000 exp(-km / 1492.7), unrounded.
    """

    count: int
    accuracy: tuple[Estimate, ...]
    median_km: Estimate
    mean_km: Estimate
    geoscore: Estimate


@dataclass(frozen=True)
class Summary:
    """The numbers of a data set and how they were taken.

    Attributes:
        protocol: a name in `geosurge_jax.geo.DISTANCE_PROTOCOLS`.
        comparison: "<=" or "<" of distance and radius.
        radii_km: ascending.
        bootstrap_samples: resamplings behind each interval; 0 for no intervals.
        seed: of the resampling.
        scores: of all photos.
        continents: scores by continent of the TRUE location, in the order of `geo.CONTINENTS`,
            those with photos alone; "Elsewhere" is more than 500 km from any land.
    """

    protocol: str
    comparison: str
    radii_km: tuple[float, ...]
    bootstrap_samples: int
    seed: int
    scores: Scores
    continents: tuple[tuple[str, Scores], ...]

    def items(self) -> Iterator[tuple[str, float]]:
        """Yields (name, value) of all photos.

        Names: `accuracy/200km` for each radius, `median_km`, `mean_km`, `geoscore`.
        """
        for radius, accuracy in zip(self.radii_km, self.scores.accuracy, strict=True):
            yield f"accuracy/{radius:g}km", accuracy.value
        yield "median_km", self.scores.median_km.value
        yield "mean_km", self.scores.mean_km.value
        yield "geoscore", self.scores.geoscore.value


def summarize(
    errors: PhotoErrors,
    protocol: str = "sphere_6371",
    comparison: str = "<=",
    radii_km: Sequence[float] = RADII_KM,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> Summary:
    """Scores photos; the result does not depend on their order.

    Args:
        errors: truth and prediction of each photo.
        protocol: a name in `geosurge_jax.geo.DISTANCE_PROTOCOLS`.
        comparison: "<=" or "<".
        radii_km: ascending.
        bootstrap_samples: resamplings of the photos behind each interval; 0 for no intervals.
        seed: of the resampling.

    Raises:
        ValueError: there is no photo, or a parameter is none of those expected.
    """
    if not len(errors):
        raise ValueError("no photo was scored, expected at least one")
    radii = tuple(float(radius) for radius in radii_km)
    if not radii or radii[0] <= 0 or any(b <= a for a, b in zip(radii, radii[1:], strict=False)):
        raise ValueError(f"radii_km is {radii}, expected ascending positive values")
    if bootstrap_samples < 0:
        raise ValueError(f"bootstrap_samples is {bootstrap_samples}, expected at least 0")
    errors = errors.in_order()
    km = errors.distance_km(distance_protocol(protocol))
    continents = continent_of(errors.truth)

    def scores(chosen: np.ndarray) -> Scores:
        return _scores(km[chosen], radii, comparison, bootstrap_samples, seed)

    present = [index for index in (*range(len(CONTINENTS)), -1) if np.any(continents == index)]
    return Summary(
        protocol=protocol,
        comparison=comparison,
        radii_km=radii,
        bootstrap_samples=bootstrap_samples,
        seed=seed,
        scores=scores(np.ones(len(km), bool)),
        continents=tuple(
            (CONTINENTS[index] if index >= 0 else NO_CONTINENT, scores(continents == index))
            for index in present
        ),
    )


def distance_protocol(name: str) -> DistanceProtocol:
    """The distance protocol of a name.

    Raises:
        ValueError: there is none; lists those that exist.
    """
    if name not in DISTANCE_PROTOCOLS:
        raise ValueError(
            f"distance protocol is {name!r}, expected one of {', '.join(DISTANCE_PROTOCOLS)}"
        )
    return DISTANCE_PROTOCOLS[name]


def geoscore(distance_km: np.ndarray) -> np.ndarray:
    """GeoScore of distances `[...]`: 5000 exp(-km / 1492.7), unrounded.

    Source: OpenStreetView-5M (Astruc et al. 2024) and its code, after the game GeoGuessr.
    """
    return 5000.0 * np.exp(-distance_km / 1492.7)


def bootstrap(
    values: np.ndarray,
    statistics: Callable[[np.ndarray], np.ndarray],
    samples: int,
    seed: int,
) -> list[Estimate]:
    """Statistics of a sample with their 95 % percentile intervals.

    Args:
        values: float64 `[M]`, one a photo, in an order that does not depend on how they arrived.
        statistics: `[N, M] -> [N, S]`, of N samples at a time.
        samples: resamplings; 0 for no intervals.
        seed: of the resampling.

    Returns:
        S estimates.
    """
    found = statistics(values[None])[0]
    low = high = [None] * len(found)
    if samples:
        rng = np.random.default_rng(seed)
        count = len(values)
        rows = max(_DRAWS_AT_A_TIME // count, 1)
        resampled = np.concatenate(
            [
                statistics(values[rng.integers(0, count, (min(rows, samples - start), count))])
                for start in range(0, samples, rows)
            ]
        )
        tail = (1 - _CONFIDENCE) / 2
        low, high = np.quantile(resampled, [tail, 1 - tail], axis=0).tolist()
    return [Estimate(*each) for each in zip(found.tolist(), low, high, strict=True)]


def _scores(
    km: np.ndarray, radii: tuple[float, ...], comparison: str, samples: int, seed: int
) -> Scores:
    estimates = bootstrap(km, lambda some: _statistics(some, radii, comparison), samples, seed)
    return Scores(len(km), tuple(estimates[:-3]), *estimates[-3:])


def _statistics(km: np.ndarray, radii: tuple[float, ...], comparison: str) -> np.ndarray:
    """Accuracies, median, mean and GeoScore `[N, R + 3]` of N samples of distances `[N, M]`."""
    return np.stack(
        [
            *(np.mean(within(km, radius, comparison), axis=1) for radius in radii),
            np.median(km, axis=1),
            np.mean(km, axis=1),
            np.mean(geoscore(km), axis=1),
        ],
        axis=1,
    )
