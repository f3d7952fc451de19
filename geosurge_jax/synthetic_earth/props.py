"""Things that stand about in a street: cars, poles, lamps, signs, people, landmarks."""

import numpy as np

from geosurge_jax.synthetic_earth.camera import Camera
from geosurge_jax.synthetic_earth.canvas import Canvas, Paint, ellipse, polygon, rectangle
from geosurge_jax.synthetic_earth.style import Place, rgb

_GLASS = np.array([0.16, 0.20, 0.26])
_CAR_COLOURS = ("c8c8cc", "303236", "f2f2f0", "8c2626", "2c4a7a")
_CLOTHES = ("c04040", "3c5a9c", "e0c060", "4a8a60", "e8e8e8", "2c2c34")
_LAMP = np.array([1.0, 0.9, 0.65])


def car(
    canvas: Canvas, rng: np.random.Generator, place: Place, u: float, v: float, metre: float,
    depth: float,
) -> None:  # fmt: skip
    """A car from behind, its wheels at (u, v); two cars in five wear the local livery."""
    local = rng.random() < 0.4
    colour = place.livery if local else rgb(_CAR_COLOURS[int(rng.integers(len(_CAR_COLOURS)))])
    body = Paint("car", colour, depth, snow=0.3)
    half, black = 0.9 * metre, Paint("car", np.full(3, 0.08), depth)
    rectangle(canvas, u - half, v - 0.35 * metre, u + half, v, black)
    rectangle(canvas, u - half, v - 0.95 * metre, u + half, v - 0.22 * metre, body)
    roof = [[-0.62, -1.5], [0.62, -1.5], [0.82, -0.92], [-0.82, -0.92]]
    polygon(canvas, np.array([u, v]) + metre * np.array(roof), body)
    glass = [[-0.52, -1.4], [0.52, -1.4], [0.66, -0.98], [-0.66, -0.98]]
    polygon(canvas, np.array([u, v]) + metre * np.array(glass), black.but(colour=_GLASS))
    for side in (-0.72, 0.72):
        tail = black.but(colour=np.array([0.8, 0.12, 0.08]), glow=0.5)
        ellipse(canvas, u + side * metre, v - 0.72 * metre, 0.13 * metre, 0.1 * metre, tail)
    plate = black.but(colour=0.5 + 0.5 * place.trim)
    rectangle(canvas, u - 0.28 * metre, v - 0.58 * metre, u + 0.28 * metre, v - 0.42 * metre, plate)


def person(
    canvas: Canvas, rng: np.random.Generator, u: float, v: float, metre: float, depth: float
) -> None:
    """Somebody standing at (u, v)."""
    coat = Paint("person", rgb(_CLOTHES[int(rng.integers(len(_CLOTHES)))]), depth)
    skin = coat.but(colour=np.array([0.62, 0.44, 0.34]) * rng.uniform(0.6, 1.4))
    legs = coat.but(colour=np.array([0.2, 0.2, 0.26]))
    rectangle(canvas, u - 0.18 * metre, v - 0.85 * metre, u + 0.18 * metre, v, legs)
    rectangle(canvas, u - 0.26 * metre, v - 1.45 * metre, u + 0.26 * metre, v - 0.75 * metre, coat)
    ellipse(canvas, u, v - 1.6 * metre, 0.14 * metre, 0.17 * metre, skin)


def utility_pole(
    canvas: Canvas, place: Place, u: float, v: float, metre: float, depth: float
) -> None:
    """A pole of the regional kind: wooden ones carry two cross-arms, others one."""
    post = Paint("pole", rgb(place.region.post), depth, facing=0.3)
    rectangle(canvas, u - 0.16 * metre, v - 8 * metre, u + 0.16 * metre, v, post)
    brown = post.colour[0] > post.colour[2] + 0.1
    for height in (7.6, 6.8) if brown else (7.7,):
        top = v - height * metre
        rectangle(canvas, u - 1.1 * metre, top - 0.12 * metre, u + 1.1 * metre, top, post)


def street_lamp(
    canvas: Canvas, place: Place, u: float, v: float, metre: float, depth: float, side: float
) -> None:
    """A lamp whose arm reaches over the road, towards -side."""
    post = Paint("streetlight", 0.6 * rgb(place.region.post), depth)
    lamp = post.but(colour=_LAMP, glow=1.0)
    rectangle(canvas, u - 0.1 * metre, v - 6.5 * metre, u + 0.1 * metre, v, post)
    end = u - side * 1.6 * metre
    rectangle(canvas, min(u, end), v - 6.6 * metre, max(u, end), v - 6.4 * metre, post)
    ellipse(canvas, end, v - 6.35 * metre, 0.5 * metre, 0.22 * metre, lamp)


def sign(canvas: Canvas, place: Place, u: float, v: float, metre: float, depth: float) -> None:
    """A board in the local livery on a post."""
    post = Paint("pole", rgb(place.region.post), depth)
    board = Paint("signboard", place.livery, depth, glow=0.25)
    rectangle(canvas, u - 0.06 * metre, v - 2.6 * metre, u + 0.06 * metre, v, post)
    rectangle(canvas, u - 0.75 * metre, v - 3.4 * metre, u + 0.75 * metre, v - 2.2 * metre, board)
    stripe = board.but(colour=place.trim)
    rectangle(canvas, u - 0.55 * metre, v - 2.9 * metre, u + 0.55 * metre, v - 2.65 * metre, stripe)


def wall_signs(
    canvas: Canvas, rng: np.random.Generator, place: Place, camera: Camera, x: float
) -> None:
    """Awnings and boards along the facades at x, in the local livery."""
    side = float(np.sign(x))
    for start in np.arange(4.0, 26.0, 5.5) + rng.uniform(0, 3):
        near, far = start, start + rng.uniform(2.0, 3.6)
        if rng.random() < 0.6:
            reach = x - side * 1.1
            low, high = 2.5, 3.3
            corners = [camera.point(x, high, near), camera.point(x, high, far),
                       camera.point(reach, low, far), camera.point(reach, low, near)]  # fmt: skip
            cloth = Paint("awning", place.livery, 0.15, facing=-0.4 * side, snow=0.8)
            polygon(canvas, np.array(corners), cloth)
        else:
            outline = ((4.6, near), (4.6, far), (3.6, far), (3.6, near))
            corners = [camera.point(x - side * 0.2, height, z) for height, z in outline]
            board = Paint("signboard", place.livery, 0.15, facing=-side, glow=0.5)
            polygon(canvas, np.array(corners), board)


def landmark(canvas: Canvas, place: Place, u: float, v: float, height: float, depth: float) -> None:
    """The city's landmark with its foot at (u, v), in stone tinted by the livery."""
    stone = Paint("tower", 0.45 * place.wall + 0.55 * place.livery, depth, facing=-0.4, snow=0.1)
    cap = stone.but(colour=place.livery, snow=0.6)
    for part in _SILHOUETTES[place.landmark]:
        kind, *numbers = part
        if kind == "box":
            left, low, right, high = numbers
            rectangle(canvas, u + left * height, v - high * height, u + right * height,
                      v - low * height, stone)  # fmt: skip
        elif kind == "ball":
            across, middle, wide, tall = numbers
            ellipse(canvas, u + across * height, v - middle * height, wide * height, tall * height,
                    cap)  # fmt: skip
        else:
            half, low, high = numbers
            corners = np.array([[-half, -low], [half, -low], [0.0, -high]]) * height
            polygon(canvas, corners + [u, v], cap)


# Parts in units of the landmark's height: boxes (left, low, right, high), balls (across, middle,
# half-width, half-height) and tips (half-width, low, high).
_SILHOUETTES: dict[str, tuple[tuple, ...]] = {
    "spire": (("box", -0.13, 0, 0.13, 0.5), ("tip", 0.13, 0.5, 1.0)),
    "dome": (("box", -0.36, 0, 0.36, 0.4), ("ball", 0, 0.42, 0.3, 0.34), ("tip", 0.03, 0.7, 1.0)),
    "minaret": (
        ("box", -0.07, 0, 0.07, 0.8), ("box", -0.11, 0.6, 0.11, 0.66), ("tip", 0.07, 0.8, 1.0),
        ("box", -0.45, 0, -0.1, 0.25), ("ball", -0.28, 0.25, 0.15, 0.16),
    ),
    "pagoda": (
        ("box", -0.1, 0, 0.1, 0.8), ("tip", 0.36, 0.2, 0.42), ("tip", 0.3, 0.42, 0.62),
        ("tip", 0.24, 0.62, 0.8), ("tip", 0.18, 0.78, 1.0),
    ),
    "needle": (
        ("box", -0.03, 0, 0.03, 0.8), ("ball", 0, 0.66, 0.12, 0.06), ("tip", 0.03, 0.8, 1.0),
        ("tip", 0.16, 0.0, 0.4),
    ),
    "arch": (
        ("box", -0.5, 0, -0.22, 0.8), ("box", 0.22, 0, 0.5, 0.8), ("box", -0.5, 0.6, 0.5, 1.0),
    ),
    "obelisk": (
        ("box", -0.09, 0, 0.09, 0.86), ("tip", 0.09, 0.86, 1.0), ("box", -0.2, 0, 0.2, 0.12),
    ),
    "pyramid": (("tip", 0.75, 0.0, 1.0),),
    "slab": (
        ("box", -0.2, 0, 0.2, 0.94), ("box", -0.03, 0.9, 0.03, 1.0), ("ball", 0, 0.8, 0.1, 0.1),
    ),
}  # fmt: skip
