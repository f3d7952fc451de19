"""Scores of classes on a coarse grid -> class maps of the photos' own shapes, on the device."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.models.sharding import constrain_batch

# Maps of a batch lie on one canvas, whose long side is a multiple of this share of the short one, so that a
# data set of photos of many shapes compiles a few programs and not one for each shape.
CANVAS_STEP = 0.5
# A map's long side over its short one, at most.
LONGEST = 8
# Rows of a map made at a time: each block reads all scores, and holds those of its pixels.
ROWS = 24


def map_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width of the class map of a photo, whose aspect it keeps.

    A map has at most as many pixels as its photo, and is at most `LONGEST` times as long as it is wide:
    maps take the geometry of their photo in relative coordinates, so a longer one loses resolution alone.

    Args:
        height: of the photo in pixels.
        width: of the photo in pixels.
        short_side: of the map in pixels, at most.
    """
    short, long = sorted((height, width))
    side = min(short_side, short)
    other = min(max(round(side * long / short), 1), LONGEST * side)
    return (side, other) if height <= width else (other, side)


def canvas_size(sizes: Sequence[tuple[int, int]], short_side: int) -> tuple[int, int]:
    """Short and long side of the canvas that maps of these sizes, upright or turned, fit on."""
    step = max(round(short_side * CANVAS_STEP), 1)
    longest = max(max(size) for size in sizes)
    return short_side, max(-(-longest // step) * step, short_side)


def class_maps(logits: jax.Array, sizes: jax.Array, canvas: tuple[int, int]) -> jax.Array:
    """The likeliest class of each pixel, of bilinearly resized scores.

    Pixel centres are aligned and edges repeated (torch's `interpolate` with `align_corners=False`). Sizes
    are values and not shapes, and a few rows are made at a time: the resized scores of all classes are
    hundreds of times as large as the map.

    Args:
        logits: `[B, S, S, C]`, C at most 255.
        sizes: height and width of each map, int32 `[B, 2]`.
        canvas: short and long side of what is put out, see `canvas_size`.

    Returns:
        uint8 `[B, *canvas]`; the map of a photo is in the upper left corner, turned (rows for columns) where
        it is higher than wide. What is around it has no meaning.
    """
    portrait = sizes[:, 0] > sizes[:, 1]
    logits = jnp.where(portrait[:, None, None, None], logits.swapaxes(1, 2), logits)
    logits = constrain_batch(logits.astype(jnp.float32))
    rows = _weights(sizes.min(axis=1), canvas[0], logits.shape[1])
    columns = _weights(sizes.max(axis=1), canvas[1], logits.shape[2])
    exact = jax.lax.Precision.HIGHEST

    def row(weights: jax.Array) -> jax.Array:
        line = jnp.einsum("bs,bstc->btc", weights, logits, precision=exact)
        line = constrain_batch(jnp.einsum("bwt,btc->bwc", columns, line, precision=exact))
        return jnp.argmax(line, axis=-1).astype(jnp.uint8)

    found = jax.lax.map(row, rows.swapaxes(0, 1), batch_size=min(ROWS, canvas[0]))
    return constrain_batch(found.swapaxes(0, 1))


def cut_map(canvas: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The map of one photo, uint8 `[height, width]`, out of its canvas of `class_maps`."""
    height, width = size
    cut = canvas[: min(size), : max(size)]
    return cut.T if height > width else cut


def _weights(sizes: jax.Array, count: int, source: int) -> jax.Array:
    """Share of each of `source` pixels in each of `count` new ones, `[B, count, source]`, of sizes `[B]`."""
    centres = (jnp.arange(count) + 0.5)[None] * (source / sizes.astype(jnp.float32))[:, None] - 0.5
    centres = jnp.clip(centres, 0, source - 1)
    distance = jnp.abs(centres[:, :, None] - jnp.arange(source)[None, None])
    return jnp.maximum(1 - distance, 0)
