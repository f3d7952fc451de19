"""One photo of the generated Earth and its exact class map."""

from collections.abc import Callable

import numpy as np

from geosurge_jax.dataset.record import SCENE_GROUPS, UNKNOWN_SCENE
from geosurge_jax.synthetic_earth.canvas import Canvas, Paint, blank_canvas, rectangle
from geosurge_jax.synthetic_earth.geography import World
from geosurge_jax.synthetic_earth.light import Nuisance, develop
from geosurge_jax.synthetic_earth.room import room
from geosurge_jax.synthetic_earth.style import Place, place_at
from geosurge_jax.synthetic_earth.town import row, street
from geosurge_jax.synthetic_earth.wild import landscape, shore

INDOOR, NATURAL, URBAN = range(3)
# Of the second level of Places365, what is composed here.
_HOME, _WATER, _BARE, _GREEN, _ROADS, _HOUSES, _TOWNS = (
    SCENE_GROUPS.index(name)
    for name in (
        "home or hotel",
        "water, ice, snow",
        "mountains, hills, desert, sky",
        "forest, field, jungle",
        "transportation, outdoor",
        "houses, cabins, gardens, farms",
        "commercial buildings, shops, markets, cities, towns",
    )
)
# Below, open country is ice; from that share of plants on it is green, else bare; and from that on a row of
# houses is a city's.
_ICE_CELSIUS, _GREEN_COVER, _TOWN_URBANITY = -9.0, 0.3, 0.9
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
) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int]]:
    """A photo taken at (latitude, longitude) degrees.

    Returns:
        Pixels uint8 [size, size, 3], classes uint8 [size, size] (0-based ADE20K ids), scene (as in
        `Record`, the finest unknown). The nuisance moves classes and scene by its viewpoint alone.
    """
    place = place_at(world, latlng)
    rng = np.random.default_rng(nuisance.viewpoint)
    heading = float(rng.normal(_HEADING, _HEADING_SPREAD))
    scene, compose = _choose(rng, place)
    canvas = blank_canvas(size)
    rectangle(canvas, 0, 0, 1, 1, Paint("sky", np.full(3, 0.8), depth=1.0, sky=1.0))
    compose(canvas, rng, place)
    pixels = develop(canvas, place, nuisance, heading, indoor=scene == INDOOR)
    return pixels, canvas.classes, (scene, _scene_group(compose, place), UNKNOWN_SCENE)


def _choose(rng: np.random.Generator, place: Place) -> tuple[int, _Composer]:
    wild, central = _NATURAL_SHARES
    natural = wild + (central - wild) * place.urbanity
    draw, second = rng.random(2)
    if draw < _INDOOR_SHARE:
        return INDOOR, room
    if (draw - _INDOOR_SHARE) / (1 - _INDOOR_SHARE) < natural:
        return NATURAL, shore if place.coast_km < _SHORE_KM and second < 0.4 else landscape
    return URBAN, street if second < 0.5 else row


def _scene_group(compose: _Composer, place: Place) -> int:
    """The second level of the scene: what was composed, and the place where that leaves it open."""
    if compose is room:
        return _HOME
    if compose is street:
        return _ROADS
    if compose is row:
        return _TOWNS if place.urbanity >= _TOWN_URBANITY else _HOUSES
    if compose is shore or place.temperature < _ICE_CELSIUS:
        return _WATER
    return _GREEN if place.cover >= _GREEN_COVER else _BARE
