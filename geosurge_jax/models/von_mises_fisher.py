"""Mixtures of von Mises-Fisher distributions on the sphere, their components split over the table axes.

The density of a component of mean direction m and concentration k at a unit vector x is

    f(x) = k / (2 pi (1 - exp(-2 k))) * exp(k (m . x - 1))    [1 / steradian]

(Fisher 1953), which for large k is a normal distribution of variance 1 / k square radians around m. In this
form nothing overflows, and m . x - 1 is taken as -|x - m|^2 / 2: at a kilometre 1 - m . x is 1e-8, below the
resolution of float32 at 1, while the difference of the vectors keeps three digits there.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from geosurge_jax.models.geocell_table import padded_rows, unit_norm
from geosurge_jax.models.sharding import (
    TABLE_AXES,
    PartitionRules,
    constrain,
    constrain_batch,
    constrain_scores,
    gather_vectors,
)

PARTITION_RULES: PartitionRules = ((r"(direction|log_concentration)$", PartitionSpec(TABLE_AXES)),)
# What a sum of component densities may fall to, relative to the densest component at the same point.
_LEAST_SUM = 1e-37


def concentration_of_spread(radians: float) -> float:
    """Concentration at which a component spreads like a normal distribution of this deviation."""
    return radians**-2


def log_density(points: jax.Array, direction: jax.Array, log_concentration: jax.Array) -> jax.Array:
    """Logarithm of each component's density at each point, per steradian.

    Args:
        points: unit vectors `[M, 3]`.
        direction: unit vectors `[C, 3]`.
        log_concentration: `[C]`.

    Returns:
        float32 `[M, C]`; good from concentrations of 1e-3 to 1e6 and beyond.
    """
    # One term an axis: nothing of [M, C, 3] is ever written.
    squared = sum(
        (points[:, axis, None] - direction[None, :, axis]) ** 2 for axis in range(points.shape[1])
    )
    concentration = jnp.exp(log_concentration)
    normalizer = log_concentration - math.log(2 * math.pi) - jnp.log(-jnp.expm1(-2 * concentration))
    return normalizer[None] - 0.5 * concentration[None] * squared


class VonMisesFisherComponents(nn.Module):
    """Mean directions and concentrations of the components, shared by all photos.

    Attributes:
        components: C.
        row_multiple: rows are padded to a multiple of this, as those of a geocell table.
        directions: where the mean directions start, unit vectors float32 `[C, 3]`.
        concentration: where all concentrations start.
    """

    components: int
    row_multiple: int
    directions: np.ndarray
    concentration: float

    @nn.compact
    def __call__(self) -> tuple[jax.Array, jax.Array]:
        """Mean directions, unit vectors `[padded C, 3]`, and log-concentrations `[padded C]`."""
        rows = padded_rows(self.components, self.row_multiple)
        start = np.tile(np.array([[0.0, 0.0, 1.0]], np.float32), (rows, 1))
        start[: self.components] = self.directions
        direction = self.param("direction", lambda _: jnp.asarray(start))
        log_concentration = self.param(
            "log_concentration", nn.initializers.constant(math.log(self.concentration)), (rows,)
        )
        return unit_norm(direction), log_concentration


def mixture_log_density(
    scores: jax.Array, points: jax.Array, direction: jax.Array, log_concentration: jax.Array
) -> jax.Array:
    """Log-density of each photo's mixture at a point of its own, for the loss.

    Args:
        scores: float32 `[B, padded C]`, logarithms of the weights up to a constant; padding masked.
        points: unit vectors `[B, 3]`.
        direction: unit vectors `[padded C, 3]`.
        log_concentration: `[padded C]`.

    Returns:
        float32 `[B]`.
    """
    of_component = constrain_scores(
        log_density(gather_vectors(points), direction, log_concentration)
    )
    joint = jax.nn.logsumexp(scores + of_component, axis=-1)
    return constrain_batch(joint - jax.nn.logsumexp(scores, axis=-1))


def mixture_log_density_on(
    support: jax.Array,
    scores: jax.Array,
    direction: jax.Array,
    log_concentration: jax.Array,
    components: int,
    points_at_a_time: int = 1024,
) -> jax.Array:
    """Log-density of each photo's mixture at all points of a support that the photos share.

    The components' densities at so many points at a time are one matrix, and the photos' weights times it
    is a product; the whole matrix, with as many points as components, would not fit a device.

    Args:
        support: unit vectors `[K, 3]`.
        scores: float32 `[B, padded C]`, logarithms of the weights up to a constant; padding masked.
        direction: unit vectors `[padded C, 3]`.
        log_concentration: `[padded C]`.
        components: C; the rows beyond are padding.
        points_at_a_time: bounds the memory: padded C times so many floats over the table axes.

    Returns:
        float32 `[B, K]`; where a photo gives no weight to the components that reach a point, as far as
        float32 can tell, 85 below the densest of them.
    """
    count, step = support.shape[0], min(points_at_a_time, support.shape[0])
    padding = -count % step
    blocks = jnp.pad(support, ((0, padding), (0, 0))).reshape(-1, step, 3)
    weights = jax.nn.softmax(scores, axis=-1)
    is_component = jnp.arange(direction.shape[0]) < components

    def at_points(points: jax.Array) -> jax.Array:
        logs = constrain(log_density(points, direction, log_concentration), None, TABLE_AXES)
        logs = jnp.where(is_component[None], logs, -jnp.inf)
        densest = jnp.max(logs, axis=-1)
        relative = jnp.exp(logs - densest[:, None])
        summed = jnp.einsum("bc,kc->bk", weights, relative, precision=jax.lax.Precision.HIGHEST)
        return constrain_batch(densest[None] + jnp.log(jnp.maximum(summed, _LEAST_SUM)))

    by_block = jax.lax.map(at_points, blocks)
    whole = jnp.moveaxis(by_block, 0, 1).reshape(scores.shape[0], -1)
    return constrain_batch(whole[:, :count])
