"""Floors: what answers without looking at the photo score, by the same metric code as any system.

"random" answers each photo with a point drawn uniformly from the sphere. "training density" answers all
photos with one constant posterior, the share of training photos in each of the finest geocells, and so
under each decision with the one place that is best without a photo.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.evaluation.calibration import (
    EqualAreaGrid,
    PhotoCalibration,
    calibrate,
    grid_masses,
)
from geosurge_jax.evaluation.decode import Decision, decide
from geosurge_jax.evaluation.errors import PhotoErrors
from geosurge_jax.geo import Partition, latlng_from_unit_vectors
from geosurge_jax.systems.posterior import Posterior

RANDOM = "random"
TRAINING_DENSITY = "training density"


@dataclass(frozen=True)
class TrainingDensity:
    """The constant posterior's answers.

    Attributes:
        posterior: one row, over the finest geocells.
        answers: degrees float64 `[D, 2]`, one a decision.
    """

    posterior: Posterior
    answers: np.ndarray

    def photos(self, truth: np.ndarray, decision: int) -> PhotoErrors:
        """Every photo answered with the place of one decision; truth in degrees `[N, 2]`."""
        return PhotoErrors(
            np.arange(len(truth)), truth, np.repeat(self.answers[decision][None], len(truth), 0)
        )

    def calibration(self, truth: np.ndarray, grid: EqualAreaGrid, floor: float) -> PhotoCalibration:
        """The constant posterior held against truths `[N, 2]`."""

        @jax.jit  # one small program in place of many that are compiled one by one
        def measure(posterior: Posterior, cells: jax.Array) -> PhotoCalibration:
            return calibrate(grid_masses(posterior, grid)[0], cells, grid, floor)

        return jax.device_get(measure(self.posterior, jnp.asarray(grid.assign(truth))))


def training_density(
    finest: Partition, decisions: Sequence[Decision], points: int
) -> TrainingDensity:
    """The constant posterior of a run's training locations.

    Args:
        finest: the finest geocells with their counts of training photos.
        decisions: D of them.
        points: see `decide`.
    """
    share = finest.counts / finest.counts.sum()
    posterior = Posterior(
        jnp.asarray(finest.latlng, jnp.float32), jnp.log(jnp.asarray(share[None], jnp.float32))
    )
    answers = jax.device_get(jax.jit(lambda given: decide(given, decisions, points))(posterior))[0]
    return TrainingDensity(posterior, np.asarray(answers, np.float64))


def random_photos(truth: np.ndarray, seed: int) -> PhotoErrors:
    """Every photo answered with a point of its own, uniform over the sphere; truth in degrees `[N, 2]`."""
    directions = np.random.default_rng(seed).normal(size=(len(truth), 3))
    return PhotoErrors(np.arange(len(truth)), truth, latlng_from_unit_vectors(directions))
