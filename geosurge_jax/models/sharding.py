"""The one place where a model part speaks of the mesh: constraints on activations.

Without an explicit constraint on the batch axis the TPU compiler has been seen to replicate the batch
inside a scanned stack of blocks, so every block states it.
"""

import jax
from jax.sharding import PartitionSpec

BATCH_AXIS = "data"
TABLE_AXIS = "model"


def constrain(array: jax.Array, *axes: str | None) -> jax.Array:
    """Pins the leading dimensions of an activation to mesh axes; later dimensions stay unsharded.

    Outside `jax.set_mesh` (one device, tests of a single part) the array passes through unchanged.

    Args:
        array: any activation, batch first.
        *axes: mesh axis names for the leading dimensions, `None` for an unsharded one.

    Returns:
        The same values with the sharding stated.
    """
    if jax.sharding.get_abstract_mesh().empty:
        return array
    return jax.lax.with_sharding_constraint(array, PartitionSpec(*axes))


def constrain_batch(array: jax.Array) -> jax.Array:
    """Pins the first dimension of `array [B, ...]` to the data axis."""
    return constrain(array, BATCH_AXIS)
