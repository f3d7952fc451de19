"""Trees and bushes, one painter for each kind of `style.TREES`."""

from collections.abc import Callable

import numpy as np

from geosurge_jax.synthetic_earth.canvas import Canvas, Paint, ellipse, polygon, rectangle
from geosurge_jax.synthetic_earth.style import TREES, Place

_BARK = np.array([0.36, 0.27, 0.20])
_PALE_BARK = np.array([0.86, 0.85, 0.80])
# How far the crown's lit and shaded halves turn away from the viewer.
_TURN = 0.75


def tree(
    canvas: Canvas, rng: np.random.Generator, place: Place, u: float, v: float, height: float,
    depth: float = 0.15,
) -> None:  # fmt: skip
    """Paint one tree of a kind that grows in the place, its foot at (u, v), `height` tall."""
    kind = list(TREES)[int(rng.choice(len(TREES), p=place.trees))]
    shade = 1 + 0.12 * rng.normal()
    leaf = Paint("tree", np.clip(place.leaf * shade, 0.03, 0.95), depth, grain=0.35, scale=0.22)
    _PAINTERS[kind](canvas, rng, leaf, u, v, height)


def bush(canvas: Canvas, place: Place, u: float, v: float, size: float, depth: float) -> None:
    """Paint one low plant with its foot at (u, v)."""
    leaf = Paint(
        "plant", 0.5 * place.leaf + 0.5 * place.grass, depth, leaf=0.3, snow=0.5, grain=0.3
    )
    ellipse(canvas, u, v - 0.5 * size, size, 0.6 * size, leaf, rough=0.2)


def _trunk(
    canvas: Canvas, leaf: Paint, u: float, v: float, height: float, width: float,
    colour: np.ndarray = _BARK,
) -> None:  # fmt: skip
    bark = Paint(leaf.category, colour, leaf.depth)
    rectangle(canvas, u - width / 2, v - height, u + width / 2, v, bark)


def _crown(
    canvas: Canvas, leaf: Paint, u: float, v: float, width: float, height: float, rough: float = 0.2
) -> None:
    """An ellipse of foliage whose left and right halves face their own sides."""
    ellipse(canvas, u, v, width, height, leaf.but(facing=0.0), rough)
    for side in (-1.0, 1.0):
        half = leaf.but(facing=side * _TURN)
        ellipse(canvas, u + side * 0.42 * width, v, 0.5 * width, 0.72 * height, half, rough)


def _broadleaf(canvas, rng, leaf, u, v, height):
    leaf = leaf.but(leaf=0.9, snow=0.2)
    _trunk(canvas, leaf, u, v, 0.5 * height, 0.09 * height)
    _crown(canvas, leaf, u, v - 0.62 * height, 0.36 * height, 0.36 * height)
    ellipse(canvas, u + 0.1 * height * rng.normal(), v - 0.85 * height, 0.2 * height, 0.17 * height,
            leaf, 0.2)  # fmt: skip


def _birch(canvas, rng, leaf, u, v, height):
    colour = np.clip(leaf.colour * [1.25, 1.2, 0.9], 0, 1)
    _trunk(canvas, leaf, u, v, 0.7 * height, 0.05 * height, _PALE_BARK)
    _crown(canvas, leaf.but(colour=colour, leaf=1.0, snow=0.1), u, v - 0.66 * height,
           0.2 * height, 0.36 * height)  # fmt: skip


def _conifer(canvas, rng, leaf, u, v, height):
    _trunk(canvas, leaf, u, v, 0.25 * height, 0.07 * height)
    for low, high, width in ((0.12, 0.55, 0.26), (0.36, 0.78, 0.2), (0.6, 1.0, 0.14)):
        for side in (-1.0, 1.0):
            half = leaf.but(facing=side * _TURN, snow=0.6)
            foot = [u + side * width * height, v - low * height]
            polygon(canvas, np.array([[u, v - high * height], foot, [u, v - low * height]]), half)


def _cypress(canvas, rng, leaf, u, v, height):
    dark = leaf.but(colour=leaf.colour * 0.75, snow=0.2)
    _trunk(canvas, leaf, u, v, 0.2 * height, 0.05 * height)
    _crown(canvas, dark, u, v - 0.55 * height, 0.1 * height, 0.48 * height, 0.1)


def _acacia(canvas, rng, leaf, u, v, height):
    _trunk(canvas, leaf, u, v, 0.75 * height, 0.06 * height)
    _crown(canvas, leaf, u, v - 0.8 * height, 0.5 * height, 0.15 * height)


def _jungle(canvas, rng, leaf, u, v, height):
    _trunk(canvas, leaf, u, v, 0.6 * height, 0.1 * height)
    for _ in range(3):
        shift, lift = 0.18 * rng.normal() * height, rng.uniform(0.4, 0.95) * height
        _crown(canvas, leaf.but(colour=leaf.colour * rng.uniform(0.75, 1.15)), u + shift, v - lift,
               0.3 * height, 0.24 * height)  # fmt: skip


def _palm(canvas, rng, leaf, u, v, height):
    frond = leaf.but(category="palm", grain=0.0)
    lean = 0.12 * height * rng.normal()
    top = np.array([u + lean, v - 0.85 * height])
    width = 0.025 * height
    stem = Paint("palm", _BARK * 1.3, leaf.depth)
    polygon(canvas, np.array([[u - 1.6 * width, v], [u + 1.6 * width, v], top + [width, 0],
                              top - [width, 0]]), stem)  # fmt: skip
    for angle in np.linspace(-0.5, np.pi + 0.5, 8) + 0.15 * rng.normal():
        reach = 0.34 * height * np.array([np.cos(angle), -0.75 * np.sin(angle)])
        tip = top + reach + [0, 0.10 * height]
        across = 0.05 * height * np.array([reach[1], -reach[0]]) / (np.hypot(*reach) + 1e-9)
        middle = top + 0.6 * reach
        side = frond.but(facing=_TURN * float(np.cos(angle)))
        polygon(canvas, np.array([top, middle + across, tip, middle - across]), side)


def _cactus(canvas, rng, leaf, u, v, height):
    height = 0.6 * height
    flesh = leaf.but(category="plant", colour=leaf.colour * [0.7, 0.95, 0.75], grain=0.15)
    for shift, low, high in ((0.0, 0.0, 1.0), (-0.2, 0.35, 0.75), (0.2, 0.5, 0.9)):
        x = u + shift * height
        rectangle(canvas, x - 0.06 * height, v - high * height, x + 0.06 * height, v - low * height,
                  flesh.but(facing=float(np.sign(shift)) * _TURN))  # fmt: skip
    rectangle(canvas, u - 0.24 * height, v - 0.42 * height, u, v - 0.34 * height, flesh)
    rectangle(canvas, u, v - 0.57 * height, u + 0.24 * height, v - 0.49 * height, flesh)


_PAINTERS: dict[str, Callable[..., None]] = {
    "palm": _palm,
    "jungle": _jungle,
    "acacia": _acacia,
    "cactus": _cactus,
    "cypress": _cypress,
    "broadleaf": _broadleaf,
    "birch": _birch,
    "conifer": _conifer,
}
