"""Whether a posterior means what it says: log-likelihood of the truth, calibration, credible areas.

Systems answer over supports of their own, cells of any size, gallery points or single places, so that
their densities cannot be compared as they are. All are therefore put on one grid of the Earth whose cells
are equal in area (Lambert's cylindrical projection: rows equal in the sine of latitude, columns equal in
longitude), and everything below speaks of masses of that grid's cells.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from geosurge_jax.evaluation.metrics import Estimate, bootstrap
from geosurge_jax.geo import EARTH_RADIUS_KM
from geosurge_jax.systems.posterior import Posterior

EARTH_AREA_KM2 = 4 * math.pi * EARTH_RADIUS_KM**2
CREDIBLE = (0.5, 0.9)
"""Levels of the credible areas that are reported."""

BINS = 15
"""Bins of the calibration error, as in Guo et al., "On calibration of modern neural networks", 2017."""


@dataclass(frozen=True)
class EqualAreaGrid:
    """Cells equal in area, row by row from the south, eastwards from 180 W within a row.

    Attributes:
        rows: equal steps of the sine of latitude.
        columns: equal steps of longitude.
    """

    rows: int
    columns: int

    @property
    def cells(self) -> int:
        """How many there are."""
        return self.rows * self.columns

    @property
    def cell_km2(self) -> float:
        """Area of one."""
        return EARTH_AREA_KM2 / self.cells

    def assign(self, latlng: np.ndarray) -> np.ndarray:
        """The cell of each point, int32 `[M]`, from degrees float64 `[M, 2]`, on the host."""
        row = np.floor((np.sin(np.radians(latlng[:, 0])) + 1) / 2 * self.rows)
        column = np.floor((latlng[:, 1] + 180) / 360 * self.columns)
        row = np.clip(row, 0, self.rows - 1)
        return (row * self.columns + column % self.columns).astype(np.int32)

    def assign_on_device(self, latlng: jax.Array) -> jax.Array:
        """The same for degrees float32 `[..., 2]`, int32 `[...]`; a point on an edge may go either way."""
        row = jnp.floor((jnp.sin(jnp.radians(latlng[..., 0])) + 1) / 2 * self.rows)
        column = jnp.floor((latlng[..., 1] + 180) / 360 * self.columns)
        row = jnp.clip(row, 0, self.rows - 1)
        return (row * self.columns + column % self.columns).astype(jnp.int32)


@struct.dataclass
class PhotoCalibration:
    """What one batch says about calibration, float32 `[B]` each.

    Attributes:
        log_likelihood: of the truth's cell, nats above the uniform density, after the floor.
        top_mass: mass of the likeliest cell.
        top_hit: 1 where the truth is in that cell.
        mass_above: mass of the cells that are likelier than the truth's. The truth is in the smallest
            area of mass q where this is below q.
        area_50_km2: area of the smallest set of cells that holds 50 % of the mass.
        area_90_km2: of 90 %.
    """

    log_likelihood: jax.Array
    top_mass: jax.Array
    top_hit: jax.Array
    mass_above: jax.Array
    area_50_km2: jax.Array
    area_90_km2: jax.Array


def grid_masses(posterior: Posterior, grid: EqualAreaGrid) -> jax.Array:
    """Mass of each cell of the grid, float32 `[B, cells]`."""
    cell = grid.assign_on_device(posterior.latlng)
    in_axes = (0, None) if cell.ndim == 1 else (0, 0)

    def of_photo(probability: jax.Array, cell: jax.Array) -> jax.Array:
        return jnp.zeros(grid.cells, jnp.float32).at[cell].add(probability)

    return jax.vmap(of_photo, in_axes=in_axes)(jnp.exp(posterior.log_prob), cell)


def calibrate(
    masses: jax.Array, truth_cell: jax.Array, grid: EqualAreaGrid, floor: float
) -> PhotoCalibration:
    """Holds masses against the truth.

    Args:
        masses: float32 `[B, cells]`, or `[cells]` for one posterior that answers every photo.
        truth_cell: int32 `[B]`, from `EqualAreaGrid.assign` of the exact coordinates.
        grid: the cells.
        floor: share of a uniform distribution that is mixed in before the logarithm is taken, so that a
            truth in a cell without mass costs log(floor) and not infinity (ours).
    """

    def of_photo(mass: jax.Array, truth_cell: jax.Array) -> PhotoCalibration:
        of_truth = mass[truth_cell]
        descending = jnp.sort(mass, descending=True)
        cumulated = jnp.cumsum(descending)
        areas = [(1 + jnp.sum(cumulated < level)) * grid.cell_km2 for level in CREDIBLE]
        return PhotoCalibration(
            log_likelihood=jnp.log((1 - floor) * of_truth * grid.cells + floor),
            top_mass=descending[0],
            top_hit=(jnp.argmax(mass) == truth_cell).astype(jnp.float32),
            mass_above=jnp.sum(jnp.where(mass > of_truth, mass, 0.0)),
            area_50_km2=areas[0].astype(jnp.float32),
            area_90_km2=areas[1].astype(jnp.float32),
        )

    in_axes = (None, 0) if masses.ndim == 1 else (0, 0)
    return jax.vmap(of_photo, in_axes=in_axes)(masses, truth_cell)


def collect(
    parts: Sequence[tuple[np.ndarray, np.ndarray, PhotoCalibration]],
) -> PhotoCalibration:
    """Batches as (index `[B]`, mask `[B]`, calibration) put together by index; mask 0 does not count."""
    if not parts:
        return PhotoCalibration(*(np.zeros(0, np.float32) for _ in range(6)))  # pyright: ignore
    index = np.concatenate([index[mask > 0] for index, mask, _ in parts])
    order = np.argsort(index)
    kept = [
        jax.tree.map(lambda value, mask=mask: np.asarray(value)[mask > 0], photos)
        for _, mask, photos in parts
    ]
    return jax.tree.map(lambda *values: np.concatenate(values)[order], *kept)


@dataclass(frozen=True)
class Bin:
    """Photos of like confidence.

    Attributes:
        count: photos.
        confidence: mean mass of the top cell.
        share: share of them whose truth is in it.
    """

    count: int
    confidence: float
    share: float


@dataclass(frozen=True)
class CalibrationSummary:
    """Calibration over a data set.

    Attributes:
        rows: of the grid.
        columns: of the grid.
        floor: share of the uniform distribution in the log-likelihood.
        count: photos.
        log_likelihood: mean, nats above the uniform density.
        top_hit: share of photos whose truth is in the likeliest cell.
        calibration_error: expected calibration error of the top cell, 0..1.
        bins: what it is taken over.
        coverage_50: share of photos whose truth is in the smallest area of 50 % of the mass.
        coverage_90: of 90 %.
        area_50_km2: median of that area.
        area_90_km2: median of that area.
    """

    rows: int
    columns: int
    floor: float
    count: int
    log_likelihood: Estimate
    top_hit: float
    calibration_error: float
    bins: tuple[Bin, ...]
    coverage_50: float
    coverage_90: float
    area_50_km2: float
    area_90_km2: float


def summarize_calibration(
    photos: PhotoCalibration,
    grid: EqualAreaGrid,
    floor: float,
    bootstrap_samples: int,
    seed: int,
) -> CalibrationSummary:
    """Calibration over photos, whose arrays are on the host.

    The calibration error is the mean over bins, weighted by their photos, of the distance between
    confidence and share of hits. The bins hold equally many photos (Nixon et al., "Measuring calibration in
    deep learning", 2019): confidences crowd at one end, where bins of equal width would leave most of
    15 empty. With few photos it is above zero for a calibrated posterior too.

    Args:
        photos: `[M]`, each photo once, in the order of their index.
        grid: what they were measured on.
        floor: what they were measured with.
        bootstrap_samples: resamplings behind the interval; 0 for none.
        seed: of the resampling.

    Raises:
        ValueError: there is no photo.
    """
    count = len(photos.top_mass)
    if not count:
        raise ValueError("no photo was scored, expected at least one")
    bins = reliability(np.asarray(photos.top_mass), np.asarray(photos.top_hit))
    above = np.asarray(photos.mass_above, np.float64)
    log_likelihood = np.asarray(photos.log_likelihood, np.float64)
    return CalibrationSummary(
        rows=grid.rows,
        columns=grid.columns,
        floor=floor,
        count=count,
        log_likelihood=bootstrap(
            log_likelihood, lambda x: np.mean(x, axis=1)[:, None], bootstrap_samples, seed
        )[0],
        top_hit=float(np.mean(photos.top_hit)),
        calibration_error=sum(b.count * abs(b.confidence - b.share) for b in bins) / count,
        bins=bins,
        coverage_50=float(np.mean(above < CREDIBLE[0])),
        coverage_90=float(np.mean(above < CREDIBLE[1])),
        area_50_km2=float(np.median(photos.area_50_km2)),
        area_90_km2=float(np.median(photos.area_90_km2)),
    )


def reliability(confidence: np.ndarray, hit: np.ndarray) -> tuple[Bin, ...]:
    """Photos `[M]` in at most `BINS` bins of equal count, by ascending confidence."""
    order = np.argsort(confidence, kind="stable")
    return tuple(
        Bin(
            len(rows),
            float(np.mean(confidence[rows], dtype=np.float64)),
            float(np.mean(hit[rows], dtype=np.float64)),
        )
        for rows in np.array_split(order, min(BINS, len(order)))
    )
