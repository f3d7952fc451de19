"""GeoCLIP's queue of places: negatives from earlier batches, and the noise on them (section 3.3).

The queue is plain arrays that the training state carries: degrees, newest first, and which of them count.
GeoCLIP's public code begins with random unit vectors, all within a degree of (0, 0); this queue begins empty.
"""

import jax
import jax.numpy as jnp

# Length of one degree of latitude, as in public re-trainings of GeoCLIP.
METRES_A_DEGREE = 111_320.0

# East of this latitude's cosine a metre would be half a turn around the pole.
SMALLEST_COSINE = 1e-3


def empty_queue(length: int) -> dict[str, jax.Array]:
    """A queue of `length` places of which none counts: `latlng [length, 2]`, `valid [length]`.

    One of no length has no arrays, as a checkpoint cannot hold empty ones.
    """
    if not length:
        return {}
    return {"latlng": jnp.zeros((length, 2)), "valid": jnp.zeros(length)}


def push(queue: dict[str, jax.Array], latlng: jax.Array, valid: jax.Array) -> dict[str, jax.Array]:
    """Puts a batch in front; the oldest fall out.

    Args:
        queue: from `empty_queue` or `push`.
        latlng: float32 `[B, 2]` in degrees.
        valid: float32 `[B]`, 0 for photos that could not be read, whose places do not count.

    Returns:
        A queue of the same length.
    """
    added = {"latlng": latlng, "valid": valid}
    return {
        name: jnp.concatenate([added[name], places])[: len(places)]
        for name, places in queue.items()
    }


def jitter(key: jax.Array, latlng: jax.Array, metres: float) -> jax.Array:
    """Moves each place by Gaussian noise along the surface.

    Public re-trainings add the same number of degrees to both coordinates, which shrinks eastward noise
    towards the poles; here a metre is a metre everywhere.

    Args:
        key: of the noise.
        latlng: float32 `[M, 2]` in degrees.
        metres: standard deviation northward and eastward.

    Returns:
        float32 `[M, 2]`, latitude in [-90, 90], longitude in [-180, 180).
    """
    north, east = jnp.moveaxis(jax.random.normal(key, latlng.shape), -1, 0) * (
        metres / METRES_A_DEGREE
    )
    latitude, longitude = jnp.moveaxis(latlng, -1, 0)
    cosine = jnp.maximum(jnp.cos(jnp.radians(latitude)), SMALLEST_COSINE)
    moved = jnp.mod(longitude + east / cosine + 180.0, 360.0) - 180.0
    return jnp.stack([jnp.clip(latitude + north, -90.0, 90.0), moved], axis=-1)
