"""The small MLP that brings a frozen tower's vector into another space (GeoCLIP, section 3.1; G3)."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.sharding import STORAGE_AXIS, PartitionRules, replicated


@dataclass(frozen=True)
class ProjectionHeadConfig:
    """Choices of one head.

    Attributes:
        hidden: width between the two layers (GeoCLIP 768).
        width: E, of the output (GeoCLIP 512).
    """

    hidden: int
    width: int

    @property
    def partition_rules(self) -> PartitionRules:
        """How the parameters lie on the mesh; paths relative to the head."""
        return (
            ("(up|down)/kernel$", PartitionSpec(None, STORAGE_AXIS)),
            replicated("(up|down)/bias$"),
        )


class ProjectionHead(nn.Module):
    """Two linear layers with a ReLU between them.

    Attributes:
        config: its choices.
        dtype: compute type; parameters are float32.
    """

    config: ProjectionHeadConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [..., D]` to `[..., E]`, not normalised."""
        hidden = jax.nn.relu(nn.Dense(self.config.hidden, dtype=self.dtype, name="up")(x))
        return nn.Dense(self.config.width, dtype=self.dtype, name="down")(hidden)
