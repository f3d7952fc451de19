"""Walls with windows and roofs, in the style of a region."""

import numpy as np

from geosurge_jax.synthetic_earth.canvas import Canvas, Paint, lay, window
from geosurge_jax.synthetic_earth.style import Place

STOREY = 3.2  # metres
_PANE = np.array([0.24, 0.30, 0.38])
# Metres between windows, then the window's width and height as shares of bay and storey.
_WINDOWS = {
    "grid": (3.0, 0.50, 0.52),
    "tall": (2.3, 0.46, 0.76),
    "arched": (3.4, 0.50, 0.70),
    "band": (40.0, 0.97, 0.40),
    "shutter": (3.6, 0.36, 0.60),
    "sparse": (4.8, 0.26, 0.34),
}
_SKYSCRAPER_METRES = 34.0


def wall_colours(
    place: Place, wall: np.ndarray, a: np.ndarray, y: np.ndarray, metre: np.ndarray, lit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Colours [3, h, w] and night glow [h, w] of a wall.

    Args:
        place: Gives window pattern and trim colour.
        wall: The wall's colour, [3, 1, 1] or [3, 1, w].
        a: Metres along the wall, [h, w].
        y: Metres over the ground, [h, w].
        metre: Pixels that a metre takes, [h, w]; windows finer than pixels fade into the wall.
        lit: Share of the windows that are lit at night.
    """
    bay, wide, tall = _WINDOWS[place.region.windows]
    across = np.abs(a / bay % 1.0 - 0.5) * bay
    up = np.abs((y / STOREY - 0.08) % 1.0 - 0.5) * STOREY
    half_wide, half_tall = 0.5 * wide * bay, 0.5 * tall * STOREY
    if place.region.windows == "arched":
        up = up + 0.5 * np.maximum(0.0, across / half_wide) ** 2 * 0.6
    above = (y > 0.25 * STOREY) * np.clip(metre / 2.5, 0.25, 1)
    pane = _inside(half_wide - across, half_tall - up, metre) * above
    frame = _inside(half_wide + 0.22 - across, half_tall + 0.22 - up, metre) * above
    if place.region.windows == "shutter":
        frame = _inside(half_wide + 0.75 - across, half_tall - up, metre) * above
    colour = wall + frame * (place.trim[:, None, None] - wall)
    colour = colour + pane * (_PANE[:, None, None] - colour)
    number = np.floor(a / min(bay, 4.0)) * 7.31 + np.floor(y / STOREY) * 3.77
    chosen = (np.sin(number * 12.9898) * 43758.5453) % 1.0 < lit
    return colour.astype(np.float32), (pane * chosen).astype(np.float32)


def front(
    canvas: Canvas, place: Place, wall: np.ndarray, left: float, right: float, ground: float,
    metre: float, storeys: int, facing: float, depth: float,
) -> None:  # fmt: skip
    """One building seen from the front: wall, windows and its roof against the sky.

    Left, right and ground are relative positions; `metre` is the relative size of a metre.
    """
    height = storeys * STOREY
    width = (right - left) / metre
    category = "skyscraper" if height > _SKYSCRAPER_METRES else "building"
    category = "house" if storeys <= 2 and place.urbanity < 0.5 else category
    rise = 0.55 * width + 4.0
    box = window(canvas, left - metre, ground - (height + rise) * metre, right + metre, ground)
    pixels = np.float32(canvas.size * metre)
    a = (canvas.u[:, box[1]] - left) / metre
    y = (ground - canvas.v[box[0]]) / metre
    profile, overhang = roof_profile(place.region.shape, a / width, width)
    roof = Paint(category, place.roof, depth, facing=0.3 * facing, snow=1.0, grain=0.12, scale=0.15)
    inside = np.minimum(a + overhang, width + overhang - a)
    tiles = np.minimum(np.minimum(height + profile - y, y - height + 0.2), inside)
    lay(canvas, box, np.clip(tiles * pixels + 0.5, 0, 1), roof)
    grid_a, grid_y = np.broadcast_arrays(a, y)
    colour, glow = wall_colours(
        place, wall[:, None, None], grid_a, grid_y, np.full_like(grid_a, pixels), 0.6
    )
    coverage = np.minimum(np.minimum(a, width - a), np.minimum(height - y, y))
    paint = Paint(category, wall, depth, facing=facing, snow=0.04)
    lay(canvas, box, np.clip(coverage * pixels + 0.5, 0, 1), paint, colour, glow)


def roof_profile(shape: str, t: np.ndarray, width: float) -> tuple[np.ndarray, float]:
    """Height in metres of the roof over the eaves at shares t of the front, and its overhang."""
    slope = np.clip(1 - np.abs(2 * t - 1), 0.0, 1.0)
    near = np.clip(np.minimum(t, 1 - t) * width, 0.0, None)
    if shape == "gable":
        return 0.34 * width * slope, 0.5
    if shape == "steep":
        return 0.55 * width * slope, 0.4
    if shape == "hip":
        return np.minimum(near * 0.9, 2.6), 0.7
    if shape == "mansard":
        return np.minimum(near * 3.0, 3.4), 0.2
    if shape == "dome":
        return 0.4 * width * np.sqrt(np.clip(1 - (2 * t - 1) ** 2, 0, 1)), 0.0
    if shape == "pagoda":
        return 0.45 * width * slope**1.7 + 1.2 * np.clip(1 - slope, 0, 1) ** 6 + 0.3, 1.0
    return 0.7 + 0.0 * t, 0.1


def _inside(across: np.ndarray, up: np.ndarray, metre: np.ndarray) -> np.ndarray:
    return np.clip(np.minimum(across, up) * metre + 0.5, 0, 1)
