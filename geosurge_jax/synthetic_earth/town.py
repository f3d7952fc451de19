"""Urban scenes: a street canyon, a row of houses across the street, a waterfront."""

import numpy as np

from geosurge_jax.synthetic_earth.camera import Camera, driver_camera, road_plane
from geosurge_jax.synthetic_earth.canvas import Canvas, Paint, lay, rectangle
from geosurge_jax.synthetic_earth.facade import STOREY, front, wall_colours
from geosurge_jax.synthetic_earth.flora import tree
from geosurge_jax.synthetic_earth.props import (
    car,
    landmark,
    person,
    sign,
    street_lamp,
    utility_pole,
    wall_signs,
)
from geosurge_jax.synthetic_earth.style import Place, rgb

_WATER = np.array([0.22, 0.38, 0.46])


def street(canvas: Canvas, rng: np.random.Generator, place: Place) -> None:
    """Looking down a street between two rows of buildings to the city's landmark."""
    half_width = float(rng.uniform(3.2, 5.0))
    pavement = float(rng.uniform(1.6, 3.0))
    camera = driver_camera(rng, place, half_width)
    size = canvas.size
    rectangle(canvas, 0, camera.v, 1, 1, Paint("earth", place.soil, 0.3, snow=0.9, grain=0.1))
    landmark(canvas, place, camera.u, camera.v + 0.01, 0.14 + 0.20 * place.urbanity, 0.55)
    road_plane(canvas, camera, place, half_width, pavement)
    edge = half_width + pavement
    storeys = _storeys(place)
    for side in (-1.0, 1.0):
        middle = int(np.clip(round(camera.u * size), 1, size - 1))
        columns = slice(0, middle) if side < 0 else slice(middle, size)
        _canyon_side(canvas, rng, place, camera, side * edge, columns, storeys)
        if place.urbanity > 0.3:
            wall_signs(canvas, rng, place, camera, side * edge)
    _furnish(canvas, rng, place, camera, half_width, pavement)


def _storeys(place: Place) -> float:
    """The usual number of storeys: more in the middle of a city."""
    return place.region.storeys * (0.75 + 0.6 * place.urbanity)


def _canyon_side(
    canvas: Canvas, rng: np.random.Generator, place: Place, camera: Camera, x: float,
    columns: slice, storeys: float,
) -> None:  # fmt: skip
    """All facades of one side at once: along a wall the distance depends on the column alone."""
    lengths = rng.uniform(7.0, 13.0, 16)
    ends = np.cumsum(lengths)
    heights = np.maximum(1, np.round(storeys * rng.uniform(0.7, 1.35, 16))) * STOREY
    mix = np.where(rng.random(16) < 0.65, rng.uniform(0.0, 0.25, 16), rng.uniform(0.75, 1.0, 16))
    walls = place.wall + mix[:, None] * (place.wall_second - place.wall)
    walls = walls * (1 + 0.05 * rng.normal(size=(16, 1)))
    u = canvas.u[:, columns]
    gap = np.maximum((u - camera.u) * np.sign(x), 1e-3)
    z = camera.focal * abs(x - camera.offset) / gap
    number = np.minimum(np.searchsorted(ends, z[0]), 15)
    metre = camera.focal * canvas.size / z
    y = camera.height - (canvas.v - camera.v) * z / camera.focal
    top = heights[number][None, :]
    cornice = 0.9 if place.region.shape == "flat" else 2.4
    near = z < ends[-1]
    roof = np.clip(np.minimum(top + cornice - y, y - top) * metre + 0.5, 0, 1) * near
    box = (slice(0, canvas.size), columns)
    haze = 0.3
    facing = -float(np.sign(x))
    category = "skyscraper" if storeys > 9 else "building"
    tiles = Paint(category, place.roof, haze, facing=0.4 * facing, snow=0.9)
    lay(canvas, box, roof, tiles)
    a, y = np.broadcast_arrays(z - np.concatenate([[0.0], ends])[number][None, :], y)
    colour, glow = wall_colours(
        place, walls[number].T[:, None], a, y, np.broadcast_to(metre, y.shape), 0.55
    )
    wall = Paint(category, place.wall, haze, facing=facing)
    coverage = np.clip(np.minimum(top - y, y) * metre + 0.5, 0, 1) * near
    lay(canvas, box, coverage, wall, colour, glow)


def _furnish(
    canvas: Canvas, rng: np.random.Generator, place: Place, camera: Camera, half_width: float,
    pavement: float,
) -> None:  # fmt: skip
    """Trees, lamps, poles, cars and people along the street, from far to near."""
    kinds = rng.choice(5, size=9, p=(0.26 * place.cover + 0.02, 0.2, 0.2, 0.24,
                                     0.34 - 0.26 * place.cover))  # fmt: skip
    for z, kind in zip(np.sort(rng.uniform(6.0, 38.0, 9))[::-1], kinds, strict=True):
        side = float(rng.choice((-1.0, 1.0)))
        kerb = side * (half_width + 0.25 * pavement)
        metre, depth = camera.focal / z, min(0.5, z / 80)
        u, v = camera.point(kerb, 0.0, z)
        if kind == 0:
            tree(canvas, rng, place, u, v, rng.uniform(5.0, 8.0) * metre, depth)
        elif kind == 1:
            street_lamp(canvas, place, u, v, metre, depth, side)
        elif kind == 2:
            utility_pole(canvas, place, u, v, metre, depth)
        elif kind == 3:
            u, v = camera.point(side * half_width * 0.55, 0.0, z + 2)
            car(canvas, rng, place, u, v, metre, depth)
        else:
            u, v = camera.point(side * (half_width + 0.6 * pavement), 0.0, z)
            person(canvas, rng, u, v, metre, depth)


def row(canvas: Canvas, rng: np.random.Generator, place: Place) -> None:
    """A row of houses seen across the street, or across the water."""
    span = float(rng.uniform(0.8, 1.25)) * (9.0 + 6.2 * _storeys(place))
    metre = 1.0 / span
    ground = float(rng.uniform(0.64, 0.74))
    afloat = rng.random() < (0.3 if place.coast_km < 30 else 0.12)
    if rng.random() < 0.25 + 0.45 * place.urbanity:
        landmark(canvas, place, rng.uniform(0.15, 0.85), ground, rng.uniform(0.45, 0.62), 0.4)
    _houses(canvas, rng, place, ground, metre)
    if afloat:
        _quay(canvas, place, ground)
    else:
        _street_across(canvas, place, ground, metre)
    _street_life(canvas, rng, place, ground, metre, afloat)


def _houses(
    canvas: Canvas, rng: np.random.Generator, place: Place, ground: float, metre: float
) -> None:
    left = -rng.uniform(0.0, 8.0) * metre
    dense = 0.3 + 0.7 * place.urbanity
    while left < 1.0:
        width = rng.uniform(7.0, 12.0) * metre
        storeys = _storeys(place) * rng.uniform(0.7, 1.35)
        second = rng.random() < 0.35
        wall = (place.wall_second if second else place.wall) * (1 + 0.04 * rng.normal())
        facing = 0.25 * (1 if rng.random() < 0.5 else -1)
        front(canvas, place, wall, left, left + width, ground, metre, max(1, round(storeys)),
              facing, 0.2)  # fmt: skip
        gap = 0.0 if rng.random() < dense else rng.uniform(2.0, 6.0)
        if gap > 3.0 and place.cover > 0.2:
            tree(canvas, rng, place, left + width + 0.5 * gap * metre, ground, 7 * metre, 0.2)
        left += width + gap * metre


def _quay(canvas: Canvas, place: Place, ground: float) -> None:
    category = "sea" if place.coast_km < 30 else "river"
    rectangle(canvas, 0, ground, 1, ground + 0.03, Paint("sidewalk", place.paving, 0.2, snow=0.9))
    water = Paint(
        category, _WATER + 0.12 * (place.leaf - 0.3), 0.2, grain=0.18, scale=0.9, stretch=6.0
    )
    rectangle(canvas, 0, ground + 0.03, 1, 1, water)


def _street_across(canvas: Canvas, place: Place, ground: float, metre: float) -> None:
    """Pavement, road and its lines as bands: the road runs from left to right."""
    kerb = ground + 1.6 * metre
    rectangle(
        canvas, 0, ground, 1, kerb, Paint("sidewalk", place.paving, 0.15, snow=0.9, grain=0.06)
    )
    surface = Paint("road", place.asphalt, 0.1, snow=0.45, grain=0.05, scale=0.6, stretch=3.0)
    rectangle(canvas, 0, kerb, 1, 1, surface)
    centre, pattern, edge, _ = place.region.road.split()
    middle, thick = 0.5 * (kerb + 1.02), 0.011
    for shift in (-0.014, 0.014) if pattern == "double" else (0.0,):
        pieces = np.arange(-0.05, 1.0, 0.2) if pattern == "dash" else (0.0,)
        length = 0.11 if pattern == "dash" else 1.0
        line = surface.but(colour=rgb(centre), snow=0.8, grain=0.0)
        for start in pieces:
            top = middle + shift - 0.5 * thick
            rectangle(canvas, start, top, start + length, top + thick, line)
    if edge != "-":
        line = surface.but(colour=rgb(edge), snow=0.8, grain=0.0)
        rectangle(canvas, 0, kerb + 0.02, 1, kerb + 0.03, line)


def _street_life(
    canvas: Canvas,
    rng: np.random.Generator,
    place: Place,
    ground: float,
    metre: float,
    afloat: bool,
) -> None:
    foot = ground + (0.02 if afloat else 1.2 * metre)
    for kind in rng.choice(4, size=5, p=(0.35, 0.2, 0.25, 0.2)):
        u = float(rng.uniform(0.03, 0.97))
        if kind == 0 and place.cover > 0.15:
            tree(canvas, rng, place, u, foot, rng.uniform(5.0, 8.0) * metre, 0.12)
        elif kind == 1:
            person(canvas, rng, u, foot, metre, 0.1)
        elif kind == 2:
            sign(canvas, place, u, foot, 1.3 * metre, 0.1)
        elif kind == 3:
            utility_pole(canvas, place, u, foot, 1.2 * metre, 0.1)
    if not afloat and rng.random() < 0.6:
        lane = foot + (1.0 - foot) * rng.uniform(0.35, 0.8)
        car(canvas, rng, place, float(rng.uniform(0.1, 0.9)), lane, 1.6 * metre, 0.05)
