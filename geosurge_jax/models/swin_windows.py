"""Windows of a map: how it is cut, which tokens of a shifted window belong together, and their offsets.

Everything that depends on shapes alone is made with NumPy while a program is traced.
"""

import jax
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
