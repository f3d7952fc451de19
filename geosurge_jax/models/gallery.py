"""A gallery of places: its vectors, computed once and split over the mesh, and a query's scores on them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.models.geocell_table import MASKED_SCORE, padded_rows
from geosurge_jax.models.sharding import (
    TABLE_AXES,
    constrain,
    constrain_batch,
    constrain_scores,
    gather_vectors,
)


def gallery_vectors(
    encode: Callable[[jax.Array], jax.Array], points: np.ndarray, block: int
) -> jax.Array:
    """Vectors of all places, rows split over the table axes of the mesh.

    Places are encoded a block at a time, each spread over the devices that will keep it, so that the memory
    of the hidden layers does not grow with the gallery.

    Args:
        encode: `points float32 [block, C] -> [block, E]`.
        points: `[Q, C]`, coordinates of the places as `encode` takes them.
        block: rows of a block; the mesh's table axes divide it.

    Returns:
        `[Q rounded up to blocks, E]`; rows behind the gallery are the vector of zeros.
    """
    rows, coordinates = padded_rows(len(points), block), points.shape[1]
    places = np.zeros((rows, coordinates), np.float32)
    places[: len(points)] = points
    # Consecutive rows of one device stand in different blocks, so every block keeps all devices at work and
    # the rows come out split as they are to lie.
    blocks = jnp.asarray(places.reshape(block, rows // block, coordinates).swapaxes(0, 1))
    vectors = jax.lax.map(lambda one: encode(constrain(one, TABLE_AXES)), blocks)
    stacked = constrain(jnp.swapaxes(vectors, 0, 1), TABLE_AXES)
    return constrain(stacked.reshape(rows, -1), TABLE_AXES)


def gallery_log_prob(
    queries: jax.Array, vectors: jax.Array, scale: jax.Array, places: int
) -> jax.Array:
    """Log-probability of each place of the gallery: a softmax over cosines.

    Each device scores its own rows of the gallery for all queries; then scores change from rows to photos
    once.

    Args:
        queries: unit vectors `[B, E]`.
        vectors: unit vectors `[Q padded, E]`, from `gallery_vectors`.
        scale: what cosines are multiplied by.
        places: Q.

    Returns:
        float32 `[B, Q]`.
    """
    scores = scale * jnp.einsum(
        "be,qe->bq",
        gather_vectors(queries.astype(vectors.dtype)),
        vectors,
        preferred_element_type=jnp.float32,
    )
    real = (jnp.arange(vectors.shape[0]) < places)[None]
    scores = constrain_scores(jnp.where(real, scores, MASKED_SCORE))
    return jax.nn.log_softmax(constrain_batch(scores)[:, :places], axis=-1)
