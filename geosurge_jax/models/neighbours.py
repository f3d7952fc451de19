"""Exact nearest neighbours in an index whose rows are split over the table axes and never gathered.

Each device compares the photos with its own rows, a block at a time, and keeps the k nearest of them. Then
photos and devices change places: of all the candidates for a photo, k from every device, one device gets
all, and keeps the k nearest. What travels is the similarity and payload of k rows for each photo and device;
the index stays.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.geocell_table import MASKED_SCORE
from geosurge_jax.models.sharding import BATCH_AXES, TABLE_AXES, VECTOR_AXIS

# The similarity of what is no row; below any cosine, and finite so that weights can be made of it.
NO_SIMILARITY = -2.0

# Bounds the similarities that stand in memory at once: 67 MB for 1024 photos.
ROWS_AT_A_TIME = 16_384

# Rows, payload and validity of a block; similarity and payload of the best so far.
Block = tuple[jax.Array, jax.Array, jax.Array]
Found = tuple[jax.Array, jax.Array]


def nearest_rows(
    queries: jax.Array, rows: jax.Array, payload: jax.Array, valid: jax.Array, k: int
) -> tuple[jax.Array, jax.Array]:
    """The k rows of an index that are most similar to each query, by exhaustive comparison.

    Args:
        queries: unit vectors `[B, E]`; B a multiple of the mesh's devices.
        rows: unit vectors `[N, E]`; N a multiple of the devices along the table axes.
        payload: what is wanted of a row, its place for example, `[N, D]`.
        valid: float32 `[N]`, 0 for rows that are padding.
        k: how many; where it exceeds N there are N.

    Returns:
        Cosines float32 `[B, k]`, most similar first, `NO_SIMILARITY` where there were not k valid rows, and
        those rows' payload `[B, k, D]`. Which of several equal rows come is not defined.

    Raises:
        ValueError: queries or rows do not split evenly over the mesh.
    """
    mesh = jax.sharding.get_abstract_mesh()
    k = min(k, rows.shape[0])
    if mesh.empty:
        return _nearest_of(queries, rows, payload, valid, k)
    parts = math.prod(mesh.shape[axis] for axis in TABLE_AXES)
    if queries.shape[0] % math.prod(mesh.shape.values()) or rows.shape[0] % parts:
        raise ValueError(
            f"{queries.shape[0]} queries and {rows.shape[0]} rows do not split over the mesh {mesh.shape}"
        )

    def on_each_device(
        queries: jax.Array, rows: jax.Array, payload: jax.Array, valid: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        candidates = _nearest_of(queries, rows, payload, valid, min(k, rows.shape[0]))
        exchange = functools.partial(
            jax.lax.all_to_all, axis_name=TABLE_AXES, split_axis=0, concat_axis=1, tiled=True
        )
        similarity, payload = (exchange(part) for part in candidates)
        return _best(similarity, payload, k)

    vectors, table = PartitionSpec(VECTOR_AXIS), PartitionSpec(TABLE_AXES)
    split = jax.shard_map(
        on_each_device,
        in_specs=(vectors, table, table, table),
        out_specs=(PartitionSpec(BATCH_AXES), PartitionSpec(BATCH_AXES)),
    )
    return split(queries, rows, payload, valid)


def _nearest_of(
    queries: jax.Array, rows: jax.Array, payload: jax.Array, valid: jax.Array, k: int
) -> tuple[jax.Array, jax.Array]:
    """The k nearest of the rows at hand, block after block; there are k rows or more."""
    block = min(max(ROWS_AT_A_TIME, k), len(rows))
    missing = -len(rows) % block

    def in_blocks(part: jax.Array) -> jax.Array:
        padded = jnp.pad(part, [(0, missing), *[(0, 0)] * (part.ndim - 1)])
        return padded.reshape(-1, block, *part.shape[1:])

    blocks = in_blocks(rows), in_blocks(payload), in_blocks(valid)

    def of_block(part: Block) -> Found:
        rows, payload, valid = part
        similarity = jnp.einsum(
            "be,ne->bn",
            queries.astype(jnp.float32),
            rows.astype(jnp.float32),
            precision=jax.lax.Precision.HIGHEST,
        )
        similarity = jnp.where(valid[None] > 0, similarity, NO_SIMILARITY)
        best, row = jax.lax.top_k(similarity, k)
        return best, jnp.take(payload, row, axis=0)

    def add(best: Found, part: Block) -> tuple[Found, None]:
        similarity, payload = (
            jnp.concatenate(pair, axis=1) for pair in zip(best, of_block(part), strict=True)
        )
        return _best(similarity, payload, k), None

    first, rest = (
        jax.tree.map(lambda part: part[0], blocks),
        jax.tree.map(lambda part: part[1:], blocks),
    )
    return jax.lax.scan(add, of_block(first), rest)[0]


def _best(similarity: jax.Array, payload: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k most similar of candidates `[B, M]` with payload `[B, M, D]`."""
    best, place = jax.lax.top_k(similarity, k)
    return best, jnp.take_along_axis(payload, place[..., None], axis=1)


def neighbour_log_weights(similarity: jax.Array, power: float) -> jax.Array:
    """Logarithm of each neighbour's weight: a power of its squared distance in the embedding space.

    Args:
        similarity: cosines `[B, k]`, `NO_SIMILARITY` where there is no neighbour.
        power: p of weight = (2 - 2 cosine)^-p.

    Returns:
        float32 `[B, k]`; `MASKED_SCORE` where there is no neighbour.
    """
    # Below this float32 tells no distances apart, and a photo that is in the index would have weight 1 / 0.
    squared = jnp.maximum(2.0 - 2.0 * similarity, 1e-6)
    return jnp.where(similarity > NO_SIMILARITY, -power * jnp.log(squared), MASKED_SCORE)


def kernel_log_density(
    vectors: jax.Array, log_weights: jax.Array, spread_radians: float
) -> jax.Array:
    """Logarithm, up to a constant, of the neighbours' kernel density estimate at their own places.

    Args:
        vectors: places as unit vectors `[B, k, 3]`.
        log_weights: `[B, k]`, `MASKED_SCORE` for none.
        spread_radians: standard deviation of the Gaussian kernel along the surface.

    Returns:
        float32 `[B, k]`, `MASKED_SCORE` where there is no neighbour.
    """
    chord = jnp.sqrt(jnp.sum((vectors[:, :, None] - vectors[:, None]) ** 2, axis=-1))
    angle = 2.0 * jnp.arcsin(jnp.minimum(chord / 2.0, 1.0))
    exponents = log_weights[:, None] - 0.5 * (angle / spread_radians) ** 2
    there = log_weights > MASKED_SCORE / 2
    return jnp.where(there, jax.nn.logsumexp(exponents, axis=-1), MASKED_SCORE)
