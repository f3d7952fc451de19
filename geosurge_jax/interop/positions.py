"""Learned positions of a square grid, brought to another resolution."""

import math

import numpy as np

from geosurge_jax.interop.weight_map import PositionGrid

# What torch takes for a in the kernel of Keys (1981), without antialiasing and with it.
PLAIN_A, ANTIALIASED_A = -0.75, -0.5


def cubic_kernel(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel at distances of 0 and more."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def bicubic_matrix(source: int, target: int, *, antialias: bool) -> np.ndarray:
    """Interpolation along one axis with half-pixel centres, as torch does it.

    Without antialiasing four points decide, and the edges are repeated. With it the kernel is widened
    where points become fewer, and cut off at the edges.

    Args:
        source: points there are.
        target: points wanted.
        antialias: see above.

    Returns:
        float64 `[target, source]`, rows sum to 1.
    """
    if antialias:
        scale = source / target
        distance = np.abs(
            (np.arange(target)[:, None] + 0.5) * scale - (np.arange(source)[None] + 0.5)
        )
        weights = cubic_kernel(distance / max(scale, 1.0), ANTIALIASED_A)
        return weights / weights.sum(axis=1, keepdims=True)
    places = (np.arange(target) + 0.5) * source / target - 0.5
    first = np.floor(places).astype(np.int64)
    matrix = np.zeros((target, source))
    for tap in range(-1, 3):
        weights = cubic_kernel(np.abs(places - (first + tap)), PLAIN_A)
        np.add.at(matrix, (np.arange(target), np.clip(first + tap, 0, source - 1)), weights)
    return matrix


def resize_positions(positions: np.ndarray, layout: PositionGrid, grid: int) -> np.ndarray:
    """Resizes the grid among learned positions.

    Args:
        positions: `[before + g * g, D]`, rows of the grid first.
        layout: how many come before the grid, and how it is interpolated.
        grid: wanted side of the grid.

    Returns:
        float32 `[before + grid * grid, D]`.

    Raises:
        ValueError: the positions are of no square grid.
    """
    before = layout.before
    source = math.isqrt(len(positions) - before)
    if source**2 != len(positions) - before:
        raise ValueError(
            f"{len(positions)} positions, expected {before} and those of a square grid"
        )
    matrix = bicubic_matrix(source, grid, antialias=layout.antialias)
    square = positions[before:].astype(np.float64).reshape(source, source, -1)
    resized = np.einsum("rs,stw,ct->rcw", matrix, square, matrix, optimize=True)
    resized = resized.reshape(grid**2, -1).astype(np.float32)
    return np.concatenate([positions[:before].astype(np.float32), resized])
