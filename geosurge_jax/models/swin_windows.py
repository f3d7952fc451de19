"""Attention in windows of a map: how it is cut, which tokens of a shifted window belong together.

Everything that depends on shapes alone is made with NumPy while a program is traced.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

# What is added to the scores of tokens that are neighbours only because the map was rolled.
FAR_APART = -100.0


def cut_windows(grid: jax.Array, window: int) -> jax.Array:
    """Cuts `[B, H, W, C]` into `[B, N, window**2, C]`, N windows, rows first."""
    batch, height, width, channels = grid.shape
    rows, columns = height // window, width // window
    cut = grid.reshape(batch, rows, window, columns, window, channels).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(batch, rows * columns, window * window, channels)


def join_windows(windows: jax.Array, side: int) -> jax.Array:
    """The inverse of `cut_windows` for a square map: `[B, N, T, C]` to `[B, side, side, C]`."""
    batch, _, tokens, channels = windows.shape
    window = round(tokens**0.5)
    rows = side // window
    cut = windows.reshape(batch, rows, rows, window, window, channels).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(batch, side, side, channels)


def relative_positions(window: int) -> np.ndarray:
    """Row of the bias table for each pair of tokens of a window, int `[window**2, window**2]`.

    The table counts offsets (query minus key) from `1 - window` to `window - 1`, rows first.
    """
    row, column = np.divmod(np.arange(window * window), window)
    rows = row[:, None] - row[None, :] + window - 1
    columns = column[:, None] - column[None, :] + window - 1
    return rows * (2 * window - 1) + columns


def shift_mask(side: int, window: int, shift: int) -> np.ndarray:
    """What keeps apart the regions that a cyclic shift brings into one window.

    Args:
        side: of the padded map, a multiple of `window`.
        window: side of a window.
        shift: by how much the map was rolled up and left; above 0.

    Returns:
        float32 `[N, window**2, window**2]`: 0 within a region, `FAR_APART` between two (Liu et al. 2021,
        figure 4).
    """
    place = np.arange(side)
    band = np.where(place < side - window, 0, np.where(place < side - shift, 1, 2))
    region = 3 * band[:, None] + band[None, :]
    rows = side // window
    cut = region.reshape(rows, window, rows, window).transpose(0, 2, 1, 3)
    cut = cut.reshape(rows * rows, window * window)
    together = cut[:, :, None] == cut[:, None, :]
    return np.where(together, 0.0, FAR_APART).astype(np.float32)


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias for each offset of two tokens."""

    heads: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, windows: jax.Array, shift: int) -> jax.Array:
        """Attends within `windows [B, N, T, C]`, cut from a square map rolled by `shift` tokens."""
        _, count, tokens, width = windows.shape
        window, head_width = round(tokens**0.5), width // self.heads

        def project(name: str) -> jax.Array:
            layer = nn.DenseGeneral((self.heads, head_width), dtype=self.dtype, name=name)
            return layer(windows)

        scores = jnp.einsum(
            "bnqhk,bnshk->bnhqs",
            project("query"),
            project("key"),
            preferred_element_type=jnp.float32,
        )
        scores *= head_width**-0.5
        table = self.param(
            "relative_position_bias",
            nn.initializers.truncated_normal(0.02),
            ((2 * window - 1) ** 2, self.heads),
        )
        scores += table[relative_positions(window)].transpose(2, 0, 1)[None, None]
        if shift:
            side = round(count**0.5) * window
            scores += shift_mask(side, window, shift)[None, :, None]
        weights = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
        attended = jnp.einsum("bnhqs,bnshk->bnqhk", weights, project("value"))
        return nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name="out")(attended)
