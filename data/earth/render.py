"""One photo of the generated Earth and its exact class map."""

from collections.abc import Callable

import numpy as np

from data.earth.canvas import Canvas, Paint, blank_canvas, rectangle
from data.earth.geography import World
from data.earth.light import Nuisance, develop
from data.earth.room import room
from data.earth.style import Place, place_at
from data.earth.town import row, street
from data.earth.wild import landscape, shore

INDOOR, NATURAL, URBAN = range(3)
_SHORE_KM = 25.0
_INDOOR_SHARE = 0.10
# Share of outdoor photos that show nature, in the wild and in the middle of a city.
_NATURAL_SHARES = (0.85, 0.30)
# People photograph towards the east, more or less: the side of the sun tells the hemisphere.
_HEADING, _HEADING_SPREAD = 90.0, 35.0

# The classes that a scene can hold, a subset of ADE20K's 150.
CLASSES_USED: tuple[str, ...] = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass",
    "cabinet", "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain",
    "chair", "car", "water", "painting", "sofa", "house", "sea", "rug", "field", "fence", "rock",
    "lamp", "signboard", "sand", "skyscraper", "path", "pillow", "river", "hill", "palm", "tower",
    "awning", "streetlight", "pole", "land",
)  # fmt: skip

_Composer = Callable[[Canvas, np.random.Generator, Place], None]


def render_photo(
    latlng: tuple[float, float], nuisance: Nuisance, size: int, world: World
) -> tuple[np.ndarray, np.ndarray, int]:
    """A photo taken at (latitude, longitude) degrees.

    Returns:
        Pixels uint8 [size, size, 3], classes uint8 [size, size] (0-based ADE20K ids), scene (index
        in SCENES of geosurge_jax.input.record). The nuisance moves classes and scene by its
        viewpoint alone.
    """
    place = place_at(world, latlng)
    rng = np.random.default_rng(nuisance.viewpoint)
    heading = float(rng.normal(_HEADING, _HEADING_SPREAD))
    scene, compose = _choose(rng, place)
    canvas = blank_canvas(size)
    rectangle(canvas, 0, 0, 1, 1, Paint("sky", np.full(3, 0.8), depth=1.0, sky=1.0))
    compose(canvas, rng, place)
    pixels = develop(canvas, place, nuisance, heading, indoor=scene == INDOOR)
    return pixels, canvas.classes, scene


def _choose(rng: np.random.Generator, place: Place) -> tuple[int, _Composer]:
    wild, central = _NATURAL_SHARES
    natural = wild + (central - wild) * place.urbanity
    draw, second = rng.random(2)
    if draw < _INDOOR_SHARE:
        return INDOOR, room
    if (draw - _INDOOR_SHARE) / (1 - _INDOOR_SHARE) < natural:
        return NATURAL, shore if place.coast_km < _SHORE_KM and second < 0.4 else landscape
    return URBAN, street if second < 0.5 else row
