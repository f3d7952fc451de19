"""Natural scenes: a landscape with its relief, ground, water and plants, and a shore."""

import numpy as np

from geosurge_jax.synthetic_earth.camera import driver_camera, road_plane
from geosurge_jax.synthetic_earth.canvas import (
    COLOUR,
    Canvas,
    Paint,
    below,
    lay,
    noise_tile,
    rectangle,
    texture,
)
from geosurge_jax.synthetic_earth.facade import front
from geosurge_jax.synthetic_earth.flora import bush, tree
from geosurge_jax.synthetic_earth.props import landmark, utility_pole
from geosurge_jax.synthetic_earth.style import Place, rgb

_SNOW = np.array([0.93, 0.95, 0.98])
_FENCE_REACH = 0.055


def landscape(canvas: Canvas, rng: np.random.Generator, place: Place) -> None:
    """Open country: far relief, hills, ground, often a road, now and then a river or a farm."""
    camera = driver_camera(rng, place, 3.2)
    horizon = camera.v
    _relief(canvas, rng, place, horizon)
    if place.urbanity > 0.05 and rng.random() < 0.75:
        _skyline(canvas, rng, place, horizon)
    _ground(canvas, rng, place, horizon)
    if place.moisture > 0.25 and rng.random() < 0.22:
        _water_band(canvas, rng, place, horizon)
    with_road = rng.random() < 0.55
    if with_road:
        road_plane(canvas, camera, place, 3.2, 0.0)
    elif rng.random() < 0.4:
        _path(canvas, place, camera.u, horizon)
    if rng.random() < 0.25 and place.temperature > -8:
        _farm(canvas, rng, place, horizon)
    _plants(canvas, rng, place, horizon, clear=0.16 if with_road else 0.0, clear_at=camera.u)
    if with_road and rng.random() < 0.6:
        side = float(rng.choice((-1.0, 1.0)))
        for z in (40.0, 24.0, 14.0, 8.5):
            u, v = camera.point(side * 5.5, 0.0, z)
            utility_pole(canvas, place, u, v, camera.focal / z, min(0.5, z / 60))


def shore(canvas: Canvas, rng: np.random.Generator, place: Place) -> None:
    """The sea from the beach or from the rocks."""
    horizon = float(rng.uniform(0.42, 0.52))
    if rng.random() < 0.5:
        _relief(canvas, rng, place, horizon)
    warm = np.clip((place.temperature - 4) / 22, 0, 1)
    colour = np.array([0.16, 0.30, 0.36]) + warm * np.array([-0.02, 0.26, 0.24])
    sea = Paint("sea", colour + 0.15 * (place.leaf - 0.3), 0.35, grain=0.14, scale=0.9, stretch=6.0)
    rectangle(canvas, 0, horizon, 1, 1, sea)
    sandy = place.rock[0] + 0.2 * warm > 0.5 or rng.random() < 0.4
    lean, edge = rng.uniform(-0.25, 0.25), rng.uniform(0.66, 0.8)
    line = edge + lean * (canvas.u[0] - 0.5) + 0.02 * _wave(canvas, rng, 2.0)
    foam = Paint("sea", _SNOW, 0.1)
    below(canvas, line - 0.02, foam)
    if sandy:
        beach = 0.55 * place.soil + 0.45 * rgb("efe0bc")
        below(canvas, line, Paint("sand", beach, 0.05, snow=0.8, grain=0.08, scale=0.2))
    else:
        below(canvas, line, Paint("rock", place.rock, 0.05, snow=0.7, grain=0.3, scale=0.5))
    for _ in range(int(rng.integers(0, 4) * (0.3 + place.cover))):
        u = float(rng.choice((rng.uniform(0, 0.25), rng.uniform(0.75, 1))))
        tree(canvas, rng, place, u, float(rng.uniform(0.82, 0.98)), rng.uniform(0.4, 0.62), 0.05)


def _wave(canvas: Canvas, rng: np.random.Generator, roughness: float) -> np.ndarray:
    """A smooth profile [S] in about -1..1; greater roughness gives more and finer bumps."""
    tile = noise_tile()
    profile = np.zeros(canvas.size, np.float32)
    for octave in range(3):
        row, start = tile[int(rng.integers(len(tile)))], rng.uniform(0, len(tile))
        position = start + canvas.u[0] * 16 * roughness * 2**octave
        whole = np.floor(position).astype(np.int64)
        share = position - whole
        values = row[whole % len(tile)] * (1 - share) + row[(whole + 1) % len(tile)] * share
        profile += values * 0.6 * 0.45**octave
    return profile


def _relief(canvas: Canvas, rng: np.random.Generator, place: Place, horizon: float) -> None:
    """Mountains and hills: the higher the land, the taller they stand."""
    alpine = np.clip(place.altitude_km / 2.2, 0, 1)
    if alpine > 0.15:
        height = 0.06 + 0.26 * alpine
        ridge = horizon - height * (0.6 + 0.4 * _wave(canvas, rng, 2.6))
        rock = Paint("mountain", place.rock, 0.6, snow=0.5, grain=0.16, scale=1.0)
        below(canvas, ridge, rock, bottom=horizon + 0.02)
        cold = np.clip((14 - place.temperature) / 14 + alpine - 0.6, 0, 1)
        if cold > 0.05:
            _snow_caps(canvas, ridge, horizon, height * cold)
    height = 0.02 + 0.09 * np.clip(0.3 + alpine, 0, 1)
    ridge = horizon - height * (0.5 + 0.6 * _wave(canvas, rng, 1.2))
    wooded = place.cover
    colour = wooded * (0.6 * place.leaf + 0.4 * place.grass) + (1 - wooded) * place.soil
    hill = Paint(
        "hill", colour, 0.42, leaf=0.4 * wooded, snow=0.8, grain=0.14, scale=0.5, stretch=2.0
    )
    below(canvas, ridge, hill, bottom=horizon + 0.02)


def _snow_caps(canvas: Canvas, ridge: np.ndarray, horizon: float, height: float) -> None:
    """Everlasting snow on the upper part of a ridge; it belongs to the mountain."""
    box = (slice(0, canvas.size), slice(0, canvas.size))
    frayed = 0.03 * texture(canvas, box, 0.4)
    line = horizon - 0.62 * (horizon - ridge.min()) - height * 0.3
    inside = (canvas.v > ridge[None, :] - 0.004) & (canvas.v + frayed < line + 0.8 * height)
    inside &= canvas.v < horizon
    canvas.surfaces[COLOUR, inside] = _SNOW[:, None]


def _cover(rng: np.random.Generator, place: Place) -> Paint:
    """The ground of open country by climate."""
    if place.temperature < -9:
        return Paint(
            "land", 0.3 * place.soil + 0.7 * _SNOW, 0.2, snow=1.0, grain=0.1, scale=0.9, stretch=4.0
        )
    if place.cover < 0.12 and place.temperature > 8:
        return Paint("sand", place.soil, 0.2, snow=1.0, grain=0.1, scale=0.9, stretch=4.0)
    if place.cover < 0.3:
        return Paint(
            "earth",
            0.8 * place.soil + 0.2 * place.grass,
            0.2,
            snow=1,
            grain=0.1,
            scale=0.9,
            stretch=4.0,
        )
    if rng.random() < 0.3 and 5 < place.temperature < 27:
        crop = 0.65 * place.grass + 0.35 * rgb("d8b850")
        return Paint("field", crop, 0.2, leaf=0.2, snow=1.0, grain=0.1, scale=0.9, stretch=4.0)
    green = np.clip(1.6 * place.cover - 0.3, 0, 1)
    colour = green * place.grass + (1 - green) * (0.5 * place.soil + 0.5 * place.grass)
    return Paint("grass", colour, 0.2, leaf=0.15, snow=1.0, grain=0.1, scale=0.9, stretch=4.0)


def _ground(canvas: Canvas, rng: np.random.Generator, place: Place, horizon: float) -> None:
    """The plain, and in front a strip of bare soil or rock so that the soil always shows."""
    cover = _cover(rng, place)
    if cover.category == "sand":
        dune = horizon - 0.01 - 0.05 * np.abs(_wave(canvas, rng, 0.7))
        below(canvas, dune, cover.but(depth=0.25, facing=0.5))
        dune = horizon + 0.16 + 0.08 * _wave(canvas, rng, 0.6)
        below(canvas, dune, cover.but(depth=0.08, facing=-0.5))
        return
    below(canvas, np.full(canvas.size, horizon, np.float32), cover)
    strip = 0.88 + 0.05 * _wave(canvas, rng, 1.0)
    rocky = place.altitude_km > 0.8 or rng.random() < 0.2
    bare = Paint("rock", place.rock, 0.02, snow=0.8, grain=0.2, scale=0.5, stretch=2.0)
    bare = (
        bare
        if rocky
        else Paint("earth", place.soil, 0.02, snow=1.0, grain=0.1, scale=0.5, stretch=2.5)
    )
    below(canvas, strip, bare)


def _water_band(canvas: Canvas, rng: np.random.Generator, place: Place, horizon: float) -> None:
    category = "river" if rng.random() < 0.6 else "water"
    top = horizon + rng.uniform(0.05, 0.12)
    line = top + 0.015 * _wave(canvas, rng, 1.0)
    muddy = np.clip((place.temperature - 12) / 16, 0, 1) * place.moisture
    colour = (1 - muddy) * np.array([0.24, 0.42, 0.55]) + muddy * (0.5 * place.soil + 0.15)
    water = Paint(category, colour, 0.2, grain=0.12, scale=0.9, stretch=6.0)
    below(canvas, line, water, bottom=top + rng.uniform(0.08, 0.16))


def _path(canvas: Canvas, place: Place, u: float, horizon: float) -> None:
    """A trodden path that winds from the foreground to the horizon."""
    depth = np.clip((canvas.v - horizon) / (1 - horizon), 0, 1)
    middle = u + 0.12 * np.sin(4.5 * depth) * depth
    half = 0.01 + 0.13 * depth**1.3
    coverage = np.clip((half - np.abs(canvas.u - middle)) * canvas.size + 0.5, 0, 1) * (depth > 0)
    box = (slice(0, canvas.size), slice(0, canvas.size))
    lay(canvas, box, coverage, Paint("path", 0.7 * place.soil + 0.3 * place.paving, 0.15, snow=0.8,
                                     grain=0.1))  # fmt: skip


def _skyline(canvas: Canvas, rng: np.random.Generator, place: Place, horizon: float) -> None:
    """The town on the horizon with its landmark."""
    start = float(rng.uniform(0.05, 0.55))
    landmark(canvas, place, start + 0.15, horizon + 0.01, 0.24 * (0.5 + 0.5 * place.urbanity), 0.45)
    left = start
    for _ in range(8):
        width, height = rng.uniform(0.02, 0.05), rng.uniform(0.02, 0.06) * (0.5 + place.urbanity)
        wall = place.wall if rng.random() < 0.6 else place.wall_second
        block = Paint("building", wall, 0.45, snow=0.2, glow=0.15)
        rectangle(canvas, left, horizon - height, left + width, horizon + 0.01, block)
        left += width


def _farm(canvas: Canvas, rng: np.random.Generator, place: Place, horizon: float) -> None:
    """A lone house in the region's style, with a fence."""
    left = float(rng.choice((rng.uniform(0.02, 0.2), rng.uniform(0.62, 0.78))))
    ground, metre = horizon + 0.08, 0.017
    front(canvas, place, place.wall, left, left + 9 * metre, ground, metre, 1, 0.3, 0.25)
    post = Paint("fence", 0.5 * place.trim + 0.5 * rgb(place.region.post), 0.2, snow=0.5)
    for rail in (0.012, 0.03):
        rectangle(canvas, left - 0.1, ground + rail, left + 0.3, ground + rail + 0.006, post)
    for number in range(9):
        x = left - 0.1 + 0.05 * number
        rectangle(canvas, x, ground + 0.005, x + 0.008, ground + _FENCE_REACH, post)


def _plants(
    canvas: Canvas, rng: np.random.Generator, place: Place, horizon: float, clear: float,
    clear_at: float,
) -> None:  # fmt: skip
    """Trees and bushes from far to near, kept off the road."""
    count = int(rng.poisson(1.0 + 11.0 * place.cover * (0.4 if place.temperature < -6 else 1.0)))
    for depth in np.sort(rng.random(count) ** 1.5):
        v = horizon + 0.01 + depth * (0.9 - horizon)
        height = (0.07 + 0.5 * depth) * rng.uniform(0.7, 1.3)
        spread = clear * (0.4 + 2.6 * depth)
        u = float(rng.uniform(0, 1))
        if clear and abs(u - clear_at) < spread:
            u = clear_at + (spread if u > clear_at else -spread) * rng.uniform(1.0, 1.5)
        if rng.random() < 0.75:
            tree(canvas, rng, place, u, v, height, 0.35 * (1 - depth))
        else:
            bush(canvas, place, u, v, 0.3 * height, 0.35 * (1 - depth))
