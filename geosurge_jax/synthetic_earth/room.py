"""Indoor scenes: a room with a window; only its colours hint at where it is."""

import numpy as np

from geosurge_jax.synthetic_earth.canvas import Canvas, Paint, ellipse, polygon, rectangle
from geosurge_jax.synthetic_earth.style import Place, rgb

_WOODS = ("8a5a34", "b58450", "5f3f2a", "d0b088")
_PLASTER = np.array([0.86, 0.83, 0.78])


def room(canvas: Canvas, rng: np.random.Generator, place: Place) -> None:
    """Three walls, floor and ceiling, a window, and furniture of a bedroom, lounge or study."""
    left, right = rng.uniform(0.06, 0.24), rng.uniform(0.76, 0.94)
    top, bottom = rng.uniform(0.08, 0.18), rng.uniform(0.62, 0.72)
    wall_colour = 0.35 * _PLASTER + 0.65 * place.wall
    wall = Paint("wall", wall_colour, 0.0, glow=0.35)
    hot = np.clip((place.temperature - 12) / 12, 0, 1)
    wood = rgb(_WOODS[int(rng.integers(len(_WOODS)))])
    floor = Paint("floor", hot * place.paving + (1 - hot) * wood, 0.0, glow=0.3, grain=0.08)
    rectangle(canvas, 0, 0, 1, 1, wall)
    polygon(canvas, _quad(0, 0, left, top, left, bottom, 0, 1.15), wall.but(facing=0.35))
    polygon(canvas, _quad(1, 0, right, top, right, bottom, 1, 1.15), wall.but(facing=-0.35))
    ceiling = Paint("ceiling", 0.5 + 0.5 * _PLASTER, 0.0, glow=0.35)
    polygon(canvas, _quad(-0.3, -0.3, 1.3, -0.3, right, top, left, top), ceiling)
    polygon(canvas, _quad(left, bottom, right, bottom, 1.25, 1.3, -0.25, 1.3), floor)
    middle = left + rng.uniform(0.25, 0.75) * (right - left)
    _outlook(canvas, rng, place, middle, top, bottom)
    furnish = (_bedroom, _lounge, _study)[int(rng.integers(3))]
    furnish(canvas, rng, place, left, right, bottom, rgb(_WOODS[int(rng.integers(len(_WOODS)))]))


def _quad(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32).reshape(4, 2)


def _outlook(
    canvas: Canvas, rng: np.random.Generator, place: Place, u: float, top: float, bottom: float
) -> None:
    """A window with a strip of the land outside, framed and curtained."""
    half, high = rng.uniform(0.10, 0.15), top + rng.uniform(0.05, 0.1)
    low = high + rng.uniform(0.5, 0.65) * (bottom - high)
    frame = Paint("windowpane", place.trim, 0.0, glow=0.2)
    rectangle(canvas, u - half - 0.012, high - 0.012, u + half + 0.012, low + 0.012, frame)
    rectangle(canvas, u - half, high, u + half, low, Paint("windowpane", _PLASTER, 0.9, sky=1.0))
    outside = Paint("windowpane", 0.5 * place.grass + 0.5 * place.soil, 0.4, snow=0.9)
    rectangle(canvas, u - half, high + 0.62 * (low - high), u + half, low, outside)
    rectangle(canvas, u - 0.005, high, u + 0.005, low, frame)
    cloth = Paint("curtain", 0.5 * place.livery + 0.5 * _PLASTER, 0.0, glow=0.3, grain=0.1)
    for side in (-1.0, 1.0):
        x = u + side * (half + 0.02)
        rectangle(canvas, x - 0.035, high - 0.03, x + 0.035, low + 0.06, cloth.but(facing=-side))


def _picture(canvas: Canvas, rng: np.random.Generator, place: Place, u: float, v: float) -> None:
    frame = Paint("painting", np.array([0.35, 0.26, 0.16]), 0.0, glow=0.3)
    rectangle(canvas, u - 0.075, v - 0.055, u + 0.075, v + 0.055, frame)
    view = frame.but(colour=0.5 * place.leaf + 0.3)
    rectangle(canvas, u - 0.06, v - 0.04, u + 0.06, v + 0.04, view)
    rectangle(canvas, u - 0.06, v + 0.01, u + 0.06, v + 0.04, view.but(colour=place.soil))


def _floor_lamp(canvas: Canvas, u: float, v: float) -> None:
    stand = Paint("lamp", np.array([0.25, 0.22, 0.2]), 0.0)
    shade = Paint("lamp", np.array([0.98, 0.9, 0.7]), 0.0, glow=1.0)
    rectangle(canvas, u - 0.006, v - 0.36, u + 0.006, v, stand)
    polygon(canvas, _quad(u - 0.035, v - 0.42, u + 0.035, v - 0.42, u + 0.06, v - 0.33,
                          u - 0.06, v - 0.33), shade)  # fmt: skip


def _bedroom(canvas, rng, place, left, right, bottom, wood) -> None:
    u = rng.uniform(left + 0.2, right - 0.2)
    _picture(canvas, rng, place, u, bottom - 0.28)
    timber = Paint("bed", wood, 0.0, glow=0.25)
    rectangle(canvas, u - 0.2, bottom - 0.12, u + 0.2, bottom + 0.1, timber)
    sheet = timber.but(colour=np.array([0.93, 0.92, 0.9]))
    polygon(canvas, _quad(u - 0.19, bottom - 0.02, u + 0.19, bottom - 0.02, u + 0.27, 0.95,
                          u - 0.27, 0.95), sheet)  # fmt: skip
    quilt = timber.but(colour=0.6 * place.livery + 0.25, grain=0.1)
    polygon(canvas, _quad(u - 0.22, bottom + 0.08, u + 0.22, bottom + 0.08, u + 0.28, 0.96,
                          u - 0.28, 0.96), quilt)  # fmt: skip
    ellipse(canvas, u - 0.09, bottom + 0.02, 0.07, 0.03, sheet.but(category="pillow"))
    ellipse(canvas, u + 0.09, bottom + 0.02, 0.07, 0.03, sheet.but(category="pillow"))
    _floor_lamp(canvas, u + 0.29 if u < 0.5 else u - 0.29, bottom + 0.06)


def _lounge(canvas, rng, place, left, right, bottom, wood) -> None:
    u = rng.uniform(left + 0.25, right - 0.25)
    _picture(canvas, rng, place, u, bottom - 0.26)
    sofa = Paint("sofa", 0.5 * place.livery + 0.3 * _PLASTER, 0.0, glow=0.25, grain=0.08)
    rectangle(canvas, u - 0.24, bottom - 0.13, u + 0.24, bottom + 0.12, sofa)
    rectangle(canvas, u - 0.22, bottom + 0.0, u + 0.22, bottom + 0.1, sofa.but(facing=0.4))
    ellipse(canvas, u, 0.93, 0.34, 0.075, Paint("rug", place.trim * 0.8, 0.0, glow=0.25, grain=0.2))
    table = Paint("table", wood, 0.0, glow=0.25)
    rectangle(canvas, u - 0.15, 0.83, u + 0.15, 0.86, table)
    for side in (-0.13, 0.12):
        rectangle(canvas, u + side, 0.86, u + side + 0.015, 0.95, table)
    _floor_lamp(canvas, float(rng.choice((left + 0.04, right - 0.04))), bottom + 0.08)


def _study(canvas, rng, place, left, right, bottom, wood) -> None:
    cabinet = Paint("cabinet", wood, 0.0, glow=0.25)
    side = float(rng.choice((left + 0.1, right - 0.1)))
    rectangle(canvas, side - 0.1, bottom - 0.36, side + 0.1, bottom + 0.03, cabinet)
    for shelf in (-0.3, -0.2, -0.1):
        rectangle(canvas, side - 0.085, bottom + shelf, side + 0.085, bottom + shelf + 0.07,
                  cabinet.but(colour=0.6 * wood))  # fmt: skip
    door = Paint("door", 0.5 * place.trim + 0.5 * wood, 0.0, glow=0.25)
    far = left + right - side
    rectangle(canvas, far - 0.07, bottom - 0.34, far + 0.07, bottom, door)
    table = cabinet.but(category="table")
    rectangle(canvas, 0.3, 0.74, 0.72, 0.78, table)
    for leg in (0.32, 0.68):
        rectangle(canvas, leg, 0.78, leg + 0.02, 0.96, table)
    chair = Paint("chair", 0.7 * place.livery + 0.1, 0.0, glow=0.25)
    rectangle(canvas, 0.44, 0.62, 0.58, 0.76, chair)
    rectangle(canvas, 0.43, 0.82, 0.59, 0.86, chair)
    for leg in (0.44, 0.565):
        rectangle(canvas, leg, 0.86, leg + 0.018, 1.0, chair)
