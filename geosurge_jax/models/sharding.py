"""The one place where a model part speaks of the mesh: how parameters and activations lie on it.

The mesh has three axes, and every photo's pixels and tokens are split over all of them:

- `data`: replicas that share nothing;
- `fsdp`: replicas that share the storage of all parameters, gathered where they are used;
- `model`: replicas that share the storage of the systems' tables.

A table (the vectors of a level's geocells) is split by rows over `fsdp` and `model` and never gathered:
the photos' vectors, which are small, are gathered over those two axes instead, and each device scores
its own rows. Without an explicit constraint on the batch the TPU compiler has been seen to replicate it
inside a scanned stack of blocks, so every block states it.
"""

from collections.abc import Sequence

import jax
from jax.sharding import PartitionSpec

BATCH_AXES = ("data", "fsdp", "model")
VECTOR_AXIS = "data"
STORAGE_AXIS = "fsdp"
TABLE_AXES = ("fsdp", "model")

Axis = str | tuple[str, ...] | None
# (regular expression searched in the path `a/b/c` of a parameter, how that parameter lies on the mesh)
PartitionRules = tuple[tuple[str, PartitionSpec], ...]


def constrain(array: jax.Array, *axes: Axis) -> jax.Array:
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
    """Splits the first dimension of `array [B, ...]` over all devices."""
    return constrain(array, BATCH_AXES)


def gather_vectors(array: jax.Array) -> jax.Array:
    """Brings the photos' small values `[B, ...]` to every device that holds rows of a table."""
    return constrain(array, VECTOR_AXIS)


def constrain_scores(scores: jax.Array) -> jax.Array:
    """Keeps `scores [B, K]` of photos on table rows with the rows."""
    return constrain(scores, VECTOR_AXIS, TABLE_AXES)


def under(prefix: str, rules: Sequence[tuple[str, PartitionSpec]]) -> PartitionRules:
    """The rules of a part for where it stands in a system: patterns anchored below `prefix/`."""
    return tuple((f"^{prefix}/{pattern}", spec) for pattern, spec in rules)


def transformer_rules(block: str, *, stacked: bool) -> PartitionRules:
    """Rules for the attentions and the MLP of transformer blocks: matrices split over `fsdp`.

    Args:
        block: pattern of the path of a block.
        stacked: whether parameters carry a leading axis over scanned blocks.

    Returns:
        Rules for `Attention` and `Mlp`; biases and norms are for `replicated`.
    """
    stack = (None,) if stacked else ()
    return (
        (f"{block}/\\w+/(query|key|value)/kernel$", PartitionSpec(*stack, STORAGE_AXIS)),
        (f"{block}/\\w+/out/kernel$", PartitionSpec(*stack, None, None, STORAGE_AXIS)),
        (f"{block}/mlp/(up|gate)/kernel$", PartitionSpec(*stack, None, STORAGE_AXIS)),
        (f"{block}/mlp/down/kernel$", PartitionSpec(*stack, STORAGE_AXIS)),
    )


def replicated(pattern: str) -> tuple[str, PartitionSpec]:
    """The rule for parameters of which every device holds a copy."""
    return pattern, PartitionSpec()
