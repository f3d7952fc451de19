"""Semantic tokens: a class map cut on the image tower's patch grid, each patch projected linearly.

The sources say that the segmentation map is passed through a linear projection; how it is tokenised is
not published. Ours: the share of every class in each cell of a small grid within the patch. A grid of
1 is the patch's class histogram, a finer one also keeps where in the patch a class lies.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    replicated,
)

# A class id is cut into a high and a low digit in this base; see `class_shares`.
DIGIT_BASE = 16

PARTITION_RULES: PartitionRules = (
    ("projection/kernel$", PartitionSpec(None, STORAGE_AXIS)),
    replicated("(projection/bias|position_embedding)$"),
)


def class_shares(
    class_map: jax.Array, classes: int, grid: int, dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """Share of each class in each cell of a square grid.

    The histogram of a cell is the product of two thin one-hot matrices, of the high and the low digit of
    the class id: 26 comparisons a pixel instead of 150, and the counting is a matrix product.

    Args:
        class_map: uint8 `[B, H, W]`; values of `classes` and above (255) are unknown and count nowhere.
        classes: number of classes.
        grid: cells along one side; divides H and W.
        dtype: type of the one-hot matrices; zeros and ones are exact in any, and sums are float32.

    Returns:
        float32 `[B, grid * grid, classes]`; a cell's shares sum to its known part.
    """
    batch, height, width = class_map.shape
    rows, columns = height // grid, width // grid
    cells = class_map.reshape(batch, grid, rows, grid, columns).transpose(0, 1, 3, 2, 4)
    cells = cells.reshape(batch, grid * grid, rows * columns).astype(jnp.int32)
    # Not `//` and `%`: both need a remainder, which jax2onnx cannot write for a batch of any size.
    high = jax.lax.div(cells, DIGIT_BASE)
    low = cells - high * DIGIT_BASE
    high_digits = -(-classes // DIGIT_BASE)
    counts = jnp.einsum(
        "bcph,bcpl->bchl",
        jax.nn.one_hot(high, high_digits, dtype=dtype),
        jax.nn.one_hot(low, DIGIT_BASE, dtype=dtype),
        preferred_element_type=jnp.float32,
    )
    counts = counts.reshape(batch, grid * grid, high_digits * DIGIT_BASE)
    return counts[..., :classes] / (rows * columns)


def patch_class_shares(
    class_map: jax.Array,
    classes: int,
    patch_grid: int,
    subgrid: int,
    dtype: jnp.dtype = jnp.float32,
) -> jax.Array:
    """One vector for each patch of an image tower: the shares of every class in the cells of the patch.

    Args:
        class_map: uint8 `[B, H, W]`, see `class_shares`.
        classes: number of classes C.
        patch_grid: patches along one side of the photo; P is its square.
        subgrid: cells along one side of a patch.
        dtype: of the result.

    Returns:
        `[B, P, subgrid * subgrid * C]`, patches and cells rows first.
    """
    shares = class_shares(class_map, classes, patch_grid * subgrid, dtype)
    batch = shares.shape[0]
    shares = shares.reshape(batch, patch_grid, subgrid, patch_grid, subgrid, classes)
    shares = shares.transpose(0, 1, 3, 2, 4, 5).reshape(batch, patch_grid**2, -1)
    return constrain_batch(shares.astype(dtype))


class SemanticTokens(nn.Module):
    """Class map to tokens.

    Attributes:
        classes: number of classes of the map (ADE20K: 150).
        patch_grid: the tower's patches along one side.
        subgrid: cells along one side of a patch.
        width: D.
        dtype: compute type; parameters are float32.
    """

    classes: int
    patch_grid: int
    subgrid: int
    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, class_map: jax.Array) -> jax.Array:
        """Maps `class_map uint8 [B, H, W]` to semantic tokens `[B, S, D]`, S = patch_grid ** 2."""
        shares = patch_class_shares(
            class_map, self.classes, self.patch_grid, self.subgrid, self.dtype
        )
        tokens = nn.Dense(self.width, dtype=self.dtype, name="projection")(shares)
        position = self.param(
            "position_embedding",
            nn.initializers.normal(self.width**-0.5),
            (self.patch_grid**2, self.width),
        )
        return tokens + position[None].astype(tokens.dtype)
