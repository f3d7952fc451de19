"""Perspective: where metres on the ground fall on the picture, and the road plane itself."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geosurge_jax.synthetic_earth.canvas import Canvas, Paint, lay
from geosurge_jax.synthetic_earth.style import Place, rgb


@dataclass(frozen=True)
class Camera:
    """A level camera looking along a road.

    Attributes:
        u: Vanishing point, from the left.
        v: Horizon, from the top.
        focal: Picture widths that one metre takes at a distance of one metre.
        height: Eye height over the ground, metres.
        offset: Metres from the middle of the road to the camera, positive to the right.
    """

    u: float
    v: float
    focal: float
    height: float
    offset: float

    def point(self, x: float, y: float, z: float) -> np.ndarray:
        """Picture position [2] of a point x metres right of the road's middle, y up, z ahead."""
        scale = self.focal / z
        return np.array([self.u + scale * (x - self.offset), self.v - scale * (y - self.height)])


def driver_camera(rng: np.random.Generator, place: Place, half_width: float) -> Camera:
    """A camera in the lane that traffic of the region keeps to."""
    side = 1.0 if place.region.side == "R" else -1.0
    return Camera(
        u=float(0.5 - side * rng.uniform(0.0, 0.12)),
        v=float(rng.uniform(0.46, 0.58)),
        focal=float(rng.uniform(0.75, 1.0)),
        height=float(rng.uniform(1.6, 2.4)),
        offset=side * half_width * float(rng.uniform(0.4, 0.6)),
    )


def road_plane(
    canvas: Canvas, camera: Camera, place: Place, half_width: float, pavement: float
) -> None:
    """Lay the road with its markings, and pavements of the given width in metres (0: none)."""
    size = canvas.size
    first = int(np.clip(np.ceil(camera.v * size + 0.5), 0, size - 1))
    box = (slice(first, size), slice(0, size))
    z = camera.focal * camera.height / (canvas.v[box[0]] - camera.v)
    x = camera.offset + (canvas.u - camera.u) * z / camera.focal
    metre = camera.focal * size / z
    haze = 0.25
    if pavement:
        kerb = np.clip((half_width + pavement - np.abs(x)) * metre + 0.5, 0, 1)
        slabs = 0.93 + 0.07 * (np.floor(z / 1.5) % 2) * np.clip(metre / 8, 0, 1)
        paint = Paint("sidewalk", place.paving, haze, snow=0.9, grain=0.04, stretch=3.0)
        lay(canvas, box, kerb, paint, paint.colour[:, None, None] * (slabs * np.ones_like(x)))
    surface = Paint("road", place.asphalt, haze, snow=0.45, grain=0.05, scale=0.6, stretch=3.0)
    lay(canvas, box, np.clip((half_width - np.abs(x)) * metre + 0.5, 0, 1), surface)
    for coverage, colour in _markings(place, x, z, metre, half_width):
        lay(canvas, box, coverage, surface.but(colour=colour, snow=0.8, grain=0.0))


def _markings(
    place: Place, x: np.ndarray, z: np.ndarray, metre: np.ndarray, half_width: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Coverage [h, w] and colour of each painted line."""
    centre, pattern, edge, _ = place.region.road.split()
    lines = {"double": (-0.22, 0.22), "solid": (0.0,), "dash": (0.0,)}[pattern]
    dash = 1.0 * (z % 6.0 < 3.4) if pattern == "dash" else np.ones_like(z)
    for middle in lines:
        yield _line(x - middle, 0.11 if pattern == "double" else 0.14, metre) * dash, rgb(centre)
    if edge != "-":
        yield _line(np.abs(x) - (half_width - 0.35), 0.11, metre) + 0 * z, rgb(edge)


def _line(x: np.ndarray, half: float, metre: np.ndarray) -> np.ndarray:
    """Share of each pixel covered by a line of half-width `half` metres at x = 0."""
    reach = 0.5 / metre
    covered = np.minimum(x + reach, half) - np.maximum(x - reach, -half)
    return np.clip(covered * metre, 0, 1)
