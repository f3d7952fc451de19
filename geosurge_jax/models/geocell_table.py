"""The learned vectors of the geocells, one table a level, and the scores of a visual vector on them."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.sharding import (
    TABLE_AXES,
    PartitionRules,
    constrain_scores,
    gather_vectors,
    replicated,
)

MASKED_SCORE = -1e9

TARGETS = ("embedding", "class")


def padded_rows(cells: int, multiple: int) -> int:
    """Rows of the table of a level with `cells` geocells: the next multiple of `multiple`."""
    return -(-cells // multiple) * multiple


def partition_rules(targets: str) -> PartitionRules:
    """How the tables lie on the mesh: split by rows; paths relative to the table."""
    if targets == "embedding":
        return ((r"level_\d+$", PartitionSpec(TABLE_AXES)), replicated("log_temperature$"))
    return ((r"(level|bias)_\d+$", PartitionSpec(TABLE_AXES)),)


def unit_norm(x: jax.Array) -> jax.Array:
    """Scales the last axis to length 1, in float32."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-12)


class GeocellTable(nn.Module):
    """Scores of visual vectors on all cells of all levels.

    With targets "embedding" the score is the cosine of the visual vector and the cell's vector over the
    level's learned temperature; with "class" it is a plain linear classifier (weights and bias, no
    normalisation), the baseline that GeoSURGE is compared with in its own ablation.

    Attributes:
        cells: K_l for each level, coarse to fine.
        width: E.
        row_multiple: rows of a table are padded to a multiple of this, so that one checkpoint fits every
            mesh whose `fsdp * model` divides it; the rows beyond the last cell are masked.
        targets: "embedding" or "class".
        initial_temperature: start of the temperature of each level (published: 0.07).
        dtype: compute type of the products; they are summed in float32.
    """

    cells: tuple[int, ...]
    width: int
    row_multiple: int
    targets: str
    initial_temperature: float
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, visual: jax.Array) -> tuple[jax.Array, ...]:
        """Scores visual vectors on the cells of every level.

        Args:
            visual: `[B, E]`, one vector for all levels, or `[B, L, E]`, one for each.

        Returns:
            One float32 `[B, padded K_l]` a level, padding masked.
        """
        scores = []
        if self.targets == "embedding":
            log_temperature = self.param(
                "log_temperature",
                nn.initializers.constant(math.log(self.initial_temperature)),
                (len(self.cells),),
            )
            visual = unit_norm(visual)
        visual = gather_vectors(visual.astype(self.dtype))
        for level, cells in enumerate(self.cells):
            rows = padded_rows(cells, self.row_multiple)
            table = self.param(
                f"level_{level}", nn.initializers.normal(self.width**-0.5), (rows, self.width)
            )
            if self.targets == "embedding":
                table = unit_norm(table)
            products = jnp.einsum(
                "be,ke->bk",
                visual if visual.ndim == 2 else visual[:, level],
                table.astype(self.dtype),
                preferred_element_type=jnp.float32,
            )
            if self.targets == "embedding":
                products = products * jnp.exp(-log_temperature[level])
            else:
                bias = self.param(f"bias_{level}", nn.initializers.zeros, (rows,))
                products = products + bias[None]
            products = constrain_scores(products)
            is_cell = (jnp.arange(rows) < cells)[None]
            scores.append(jnp.where(is_cell, products, MASKED_SCORE))
        return tuple(scores)
