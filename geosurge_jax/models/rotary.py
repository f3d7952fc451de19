"""Rotary positions of a grid of patches (DINOv3, Simeoni et al. 2025, section 3.2)."""

import math

import jax
import jax.numpy as jnp
import numpy as np

PERIOD_BASE = 100.0


def patch_rotation(grid: int, head_width: int) -> tuple[jax.Array, jax.Array]:
    """Cosine and sine for each patch: its centre in [-1, 1] times frequencies in octaves of a base.

    A quarter of a head's width takes the rows' coordinate at falling frequencies, a quarter the columns',
    and both are repeated, so that the pairs (i, i + K / 2) of `rotate` share an angle.

    Args:
        grid: patches along one side.
        head_width: K, a multiple of 4.

    Returns:
        Two float32 `[grid * grid, K]`.
    """
    centres = 2 * (np.arange(grid) + 0.5) / grid - 1
    places = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1).reshape(-1, 2)
    frequencies = PERIOD_BASE ** -np.arange(0, 1, 4 / head_width)
    angles = 2 * math.pi * places[:, :, None] * frequencies[None, None]
    angles = np.tile(angles.reshape(len(places), -1), 2).astype(np.float32)
    return jnp.cos(angles), jnp.sin(angles)
