"""The painter's canvas: surfaces and classes, laid from far to near, before any light falls.

Coordinates are relative: u runs from 0 (left) to 1 (right), v from 0 (top) to 1 (bottom), so that a
scene is the same at any size. Edges are anti-aliased in the surfaces; a class takes a pixel where
it covers more than half of it.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np

from geosurge_jax.dataset.ade20k import UNKNOWN, class_id

# Channels of the surfaces.
COLOUR = slice(0, 3)
DEPTH, FACING, GLOW, LEAF, SNOW, SKY = 3, 4, 5, 6, 7, 8
CHANNELS = 9


Box = tuple[slice, slice]
"""Rows and columns of a part of the picture."""


@dataclass(frozen=True)
class Paint:
    """What a surface is made of.

    Attributes:
        category: Name of its ADE20K class.
        colour: Colour in white light, [3] in 0..1.
        depth: 0 (near) to 1 (horizon): how much haze lies before it.
        facing: -1 (turned to the left) to 1 (turned to the right): which sun reaches it.
        glow: Share of light of its own at night.
        leaf: Share of foliage that turns and falls with the seasons.
        snow: Share of it that takes snow.
        sky: 1 for the sky itself.
        grain: Strength of its texture.
        scale: Size of the texture's grains; 1 is a tenth of the picture.
        stretch: How many times wider than high the grains are: flat ground is foreshortened.
    """

    category: str
    colour: np.ndarray
    depth: float = 0.1
    facing: float = 0.0
    glow: float = 0.0
    leaf: float = 0.0
    snow: float = 0.0
    sky: float = 0.0
    grain: float = 0.0
    scale: float = 0.5
    stretch: float = 1.0

    def but(self, **changes: object) -> "Paint":
        """The same paint with some attributes changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Canvas:
    """Surfaces float32 [CHANNELS, S, S] and classes uint8 [S, S] of a picture being painted."""

    size: int
    surfaces: np.ndarray
    classes: np.ndarray
    u: np.ndarray
    v: np.ndarray


def blank_canvas(size: int) -> Canvas:
    """An empty canvas of size x size pixels; u [1, S] and v [S, 1] are the pixels' centres."""
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return Canvas(
        size=size,
        surfaces=np.zeros((CHANNELS, size, size), np.float32),
        classes=np.full((size, size), UNKNOWN, np.uint8),
        u=centres[None, :],
        v=centres[:, None],
    )


def window(canvas: Canvas, left: float, top: float, right: float, bottom: float) -> Box:
    """The slices (rows, columns) of the pixels that a box can touch; may be empty."""
    size = canvas.size
    rows = slice(max(0, int(np.floor(top * size - 1))), max(0, min(size, int(bottom * size + 2))))
    columns = slice(
        max(0, int(np.floor(left * size - 1))), max(0, min(size, int(right * size + 2)))
    )
    return rows, columns


def lay(
    canvas: Canvas,
    box: Box,
    coverage: np.ndarray,
    paint: Paint,
    colour: np.ndarray | None = None,
    glow: np.ndarray | None = None,
) -> None:
    """Lay paint over the pixels of a box.

    Args:
        canvas: Changed in place.
        box: Rows and columns.
        coverage: Share of each pixel covered, float [h, w] in 0..1.
        paint: The surface.
        colour: Colours [3, h, w] in place of the paint's one.
        glow: Glow [h, w] in place of the paint's one.
    """
    if coverage.size == 0:
        return
    area = canvas.surfaces[:, *box]
    alpha = coverage.astype(np.float32)
    material = np.empty(
        (CHANNELS, *(alpha.shape if _varies(paint, colour, glow) else (1, 1))), "f4"
    )
    material[COLOUR] = np.asarray(paint.colour)[:, None, None] if colour is None else colour
    if paint.grain:
        material[COLOUR] *= 1 + paint.grain * texture(canvas, box, paint.scale, paint.stretch)
    rest = (paint.depth, paint.facing, paint.glow, paint.leaf, paint.snow, paint.sky)
    material[COLOUR.stop :] = np.array(rest)[:, None, None]
    if glow is not None:
        material[GLOW] = glow
    area += alpha * (material - area)
    canvas.classes[box][coverage > 0.5] = class_id(paint.category)


def _varies(paint: Paint, colour: np.ndarray | None, glow: np.ndarray | None) -> bool:
    return bool(paint.grain) or colour is not None or glow is not None


def polygon(canvas: Canvas, corners: np.ndarray, paint: Paint) -> None:
    """Fill a convex polygon, corners [N, 2] of (u, v)."""
    corners = np.asarray(corners, np.float32)
    box = window(canvas, *corners.min(axis=0), *corners.max(axis=0))
    u, v = canvas.u[:, box[1]], canvas.v[box[0]]
    following = np.roll(corners, -1, axis=0)
    edges = following - corners
    turn = np.sign(np.sum(corners[:, 0] * following[:, 1] - following[:, 0] * corners[:, 1]))
    inside = np.full((v.shape[0], u.shape[1]), np.inf, np.float32)
    for (a, b), (x, y) in zip(corners, edges, strict=True):
        length = float(np.hypot(x, y))
        if length > 1e-6:
            distance = (x * (v - b) - y * (u - a)) * (turn / length)
            np.minimum(inside, distance, out=inside)
    lay(canvas, box, np.clip(inside * canvas.size + 0.5, 0, 1), paint)


def rectangle(
    canvas: Canvas, left: float, top: float, right: float, bottom: float, paint: Paint
) -> None:
    """Fill an upright rectangle; a side thinner than a pixel covers its share of the pixel."""
    box = window(canvas, left, top, right, bottom)
    across = _overlap(canvas.u[:, box[1]], left, right, canvas.size)
    down = _overlap(canvas.v[box[0]], top, bottom, canvas.size)
    lay(canvas, box, across * down, paint)


def ellipse(
    canvas: Canvas, u: float, v: float, width: float, height: float, paint: Paint, rough: float = 0
) -> None:
    """Fill an ellipse of half-axes width and height; `rough` frays its edge like foliage."""
    reach = 1 + rough
    left, right = u - width * reach, u + width * reach
    box = window(canvas, left, v - height * reach, right, v + height * reach)
    across, down = (canvas.u[:, box[1]] - u) / width, (canvas.v[box[0]] - v) / height
    radius = np.sqrt(across**2 + down**2)
    if rough:
        radius = radius + rough * texture(canvas, box, 0.35)
    coverage = np.clip((1 - radius) * min(width, height) * canvas.size + 0.5, 0, 1)
    lay(canvas, box, coverage, paint)


def below(canvas: Canvas, ridge: np.ndarray, paint: Paint, bottom: float = 1.0) -> None:
    """Fill everything between a ridge line (v at each column, [S]) and `bottom`."""
    box = window(canvas, 0.0, float(ridge.min()), 1.0, bottom)
    v = canvas.v[box[0]]
    coverage = np.clip((v - ridge[None, :]) * canvas.size + 0.5, 0, 1)
    lay(canvas, box, coverage * _overlap(v, -1.0, bottom, canvas.size), paint)


def texture(canvas: Canvas, box: Box, scale: float, stretch: float = 1.0) -> np.ndarray:
    """Smooth noise [h, w] in -1..1 fixed to the picture, with grains of `scale` tenths of it."""
    tile = noise_tile()
    pitch = len(tile) / (16.0 * scale)
    columns = (canvas.u[0, box[1]] * pitch * 10).astype(np.int64) % len(tile)
    rows = (canvas.v[box[0], 0] * pitch * stretch * 10).astype(np.int64) % len(tile)
    return tile[np.ix_(rows, columns)]


@functools.lru_cache
def noise_tile() -> np.ndarray:
    """A periodic tile [256, 256] of smooth noise in -1..1, the same for every world."""
    rng = np.random.default_rng(20)
    spectrum = np.fft.rfft2(rng.normal(size=(256, 256)))
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :]) * 16
    noise = np.fft.irfft2(spectrum * np.exp(-(frequency**2)) * frequency, s=(256, 256))
    return np.tanh(noise / noise.std() * 0.8).astype(np.float32)


def _overlap(centres: np.ndarray, first: float, last: float, size: int) -> np.ndarray:
    """Share of each pixel, by its centre along one axis, that lies between first and last."""
    half = 0.5 / size
    covered = np.minimum(centres + half, last) - np.maximum(centres - half, first)
    return np.clip(covered * size, 0, 1)
