"""From a posterior to coordinates."""

import jax
import jax.numpy as jnp

from geosurge_jax.systems.posterior import Posterior


def top_locations(posterior: Posterior, k: int) -> tuple[jax.Array, jax.Array]:
    """The k likeliest support points of each photo, the likeliest first.

    Equals go by the lower index.

    Args:
        posterior: over K support points.
        k: how many, 1 to K.

    Returns:
        Degrees `[B, k, 2]` and log-probabilities `[B, k]`.

    Raises:
        ValueError: k is not in 1..K.
    """
    support = posterior.latlng.shape[0]
    if not 1 <= k <= support:
        raise ValueError(f"k is {k}, expected 1 to {support}, the number of support points")
    log_prob, point = jax.lax.top_k(posterior.log_prob, k)
    return jnp.take(posterior.latlng, point, axis=0), log_prob
