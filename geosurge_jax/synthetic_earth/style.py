"""From a location to everything visible that depends on it: colours, trees, buildings, roads."""

import colorsys
from dataclasses import dataclass

import numpy as np

from geosurge_jax.geo import great_circle_km
from geosurge_jax.synthetic_earth.atlas import GROUNDS
from geosurge_jax.synthetic_earth.climate import Climate, climate_of
from geosurge_jax.synthetic_earth.geography import (
    ATTRIBUTES,
    World,
    fields_at,
    nearest_city,
    region_of,
)
from geosurge_jax.synthetic_earth.regions import REGIONS, Region

# Strength of each attribute's variation: fields of 3000, 1000 and 300 km, then the city's accent.
_STRENGTH = {
    "wall": (0.06, 0.05, 0.04, 0.10),
    "roof": (0.06, 0.05, 0.04, 0.09),
    "trim": (0.05, 0.05, 0.04, 0.12),
    "paving": (0.08, 0.05, 0.04, 0.07),
    "asphalt": (0.05, 0.035, 0.02, 0.04),
    "soil": (0.04, 0.04, 0.03, 0.02),
    "rock": (0.07, 0.05, 0.03, 0.00),
    "leaf": (0.05, 0.04, 0.025, 0.02),
    "air": (0.085, 0.03, 0.00, 0.00),
}
_OPPONENT = np.array([[1.0, 1.0, 1.0], [1.0, 0.1, -1.0], [-0.35, 0.45, -0.35]])
_CITY_REACH_KM = 40.0

# Where trees feel at home: temperature and its tolerance, moisture and its tolerance.
TREES = {
    "palm": (26.0, 5.0, 0.70, 0.40),
    "jungle": (26.0, 5.0, 0.95, 0.22),
    "acacia": (24.0, 5.0, 0.32, 0.14),
    "cactus": (21.0, 6.0, 0.08, 0.10),
    "cypress": (16.0, 3.5, 0.36, 0.14),
    "broadleaf": (11.0, 5.5, 0.65, 0.25),
    "birch": (3.0, 5.0, 0.50, 0.20),
    "conifer": (0.0, 6.5, 0.60, 0.35),
}
# Surface colours by climate: temperature, moisture, then soil, grass and leaf in white light.
_GROUND = (
    (27.0, 0.00, "e6bd7c", "c9b070", "8f9050"),
    (27.0, 0.40, "c07a48", "b8a650", "7f8c3c"),
    (26.0, 0.95, "a8502f", "5fa03c", "2c7434"),
    (15.0, 0.05, "c9a684", "b8a878", "7f8458"),
    (15.0, 0.45, "a88258", "a0a050", "62803c"),
    (12.0, 0.90, "6f5138", "6aa83f", "45853a"),
    (2.0, 0.15, "a39078", "a8a070", "6f7850"),
    (2.0, 0.60, "70655a", "86985c", "35603e"),
    (-16.0, 0.40, "d4dce4", "c4ccc8", "5a7060"),
)
LANDMARKS = ("spire", "dome", "minaret", "pagoda", "needle", "arch", "obelisk", "pyramid", "slab")


@dataclass(frozen=True)
class Place:
    """All that a photo taken at one point can show of where it is.

    Colours are float64 [3] in 0..1, surfaces in white light. `trees` holds the share of each kind
    of TREES; `cover` is the share of the ground that plants cover; `urbanity` is 1 in the middle of
    a city and 0 in the wild; `air` [3] is what the light of the place adds to the sky's colour.
    """

    latitude: float
    altitude_km: float
    coast_km: float
    moisture: float
    temperature: float
    climate: Climate
    region: Region
    urbanity: float
    landmark: str
    trees: tuple[float, ...]
    cover: float
    wall: np.ndarray
    wall_second: np.ndarray
    roof: np.ndarray
    trim: np.ndarray
    paving: np.ndarray
    asphalt: np.ndarray
    soil: np.ndarray
    rock: np.ndarray
    leaf: np.ndarray
    grass: np.ndarray
    livery: np.ndarray
    air: np.ndarray


def place_at(world: World, latlng: tuple[float, float]) -> Place:
    """The place at (latitude, longitude) in degrees."""
    point = np.array([latlng], np.float64)
    fields = fields_at(world, point)[0]
    noise = fields[:, ATTRIBUTES.index("noise"), 0]
    climate = climate_of(point, np.array([0.8 * noise[1] + 0.6 * noise[2]]))
    region = REGIONS[int(region_of(point)[0])]
    nearest, distance = nearest_city(world, point)
    city = int(nearest[0])
    urbanity = float(np.exp(-((distance[0] / _CITY_REACH_KM) ** 2)))
    shift = _shifts(fields, urbanity * world.accents[city].reshape(len(ATTRIBUTES), 3))
    temperature, moisture = float(climate.temperature[0]), float(climate.moisture[0])
    soil, grass, leaf = _ground_colours(temperature, moisture)
    soil = _known_ground(point, soil)
    first, second = (rgb(code) for code in region.walls.split())
    return Place(
        latitude=latlng[0],
        altitude_km=float(climate.altitude_km[0]),
        coast_km=float(climate.coast_km[0]),
        moisture=moisture,
        temperature=temperature,
        climate=climate,
        region=region,
        urbanity=urbanity,
        landmark=LANDMARKS[int(world.landmarks[city]) % len(LANDMARKS)],
        trees=_tree_shares(temperature, moisture),
        cover=float(
            np.clip(1.6 * moisture - 0.12, 0.0, 1.0) * np.clip(temperature / 8 + 1.6, 0, 1)
        ),
        wall=_bounded(first + shift["wall"]),
        wall_second=_bounded(second + shift["wall"]),
        roof=_bounded(rgb(region.roof) + shift["roof"]),
        trim=_bounded(rgb(region.trim) + shift["trim"]),
        paving=_bounded(rgb(region.paving) + shift["paving"]),
        asphalt=_bounded(rgb(region.road.split()[3]) + shift["asphalt"]),
        soil=_bounded(soil + shift["soil"]),
        rock=_bounded(0.5 * soil + 0.5 * rgb("8c8a88") + shift["rock"]),
        leaf=_bounded(leaf + shift["leaf"]),
        grass=_bounded(grass + shift["leaf"]),
        livery=_livery(world, city, urbanity, fields),
        air=shift["air"],
    )


def rgb(code: str) -> np.ndarray:
    """Colour [3] in 0..1 of an RRGGBB code."""
    return np.frombuffer(bytes.fromhex(code), np.uint8) / 255.0


def _bounded(colour: np.ndarray) -> np.ndarray:
    return np.clip(colour, 0.06, 0.97)


def _shifts(fields: np.ndarray, accent: np.ndarray) -> dict[str, np.ndarray]:
    shifts = {}
    for number, name in enumerate(ATTRIBUTES):
        if name in _STRENGTH:
            *scales, own = _STRENGTH[name]
            mixed = np.array(scales) @ fields[:, number] + own * accent[number]
            shifts[name] = mixed @ _OPPONENT
    return shifts


def _ground_colours(temperature: float, moisture: float) -> np.ndarray:
    """Soil, grass and leaf colours [3, 3], blended from the climates of _GROUND."""
    climates = np.array([row[:2] for row in _GROUND])
    colours = np.array([[rgb(code) for code in row[2:]] for row in _GROUND])
    apart = ((climates[:, 0] - temperature) / 6.0) ** 2 + ((climates[:, 1] - moisture) / 0.18) ** 2
    weights = 1.0 / (0.15 + apart) ** 1.5
    return np.tensordot(weights / weights.sum(), colours, 1)


def _known_ground(point: np.ndarray, soil: np.ndarray) -> np.ndarray:
    """The climate's soil colour [3] drawn towards those of the lands around the point [1, 2]."""
    table = np.array([row[1:4] for row in GROUNDS], np.float64)
    colours = np.array([rgb(row.colour) for row in GROUNDS])
    weights = np.exp(-((great_circle_km(point, table[:, :2]) / table[:, 2]) ** 2))
    return (0.25 * soil + weights @ colours) / (0.25 + weights.sum())


def _tree_shares(temperature: float, moisture: float) -> tuple[float, ...]:
    rows = np.array(list(TREES.values()))
    fit = ((rows[:, 0] - temperature) / rows[:, 1]) ** 2 + (
        (rows[:, 2] - moisture) / rows[:, 3]
    ) ** 2
    weights = np.exp(-(fit - fit.min()))
    return tuple(weights / weights.sum())


def _livery(world: World, city: int, urbanity: float, fields: np.ndarray) -> np.ndarray:
    """The colour of signs, buses and awnings: a saturated hue, each city its own."""
    trim = ATTRIBUTES.index("trim")
    own = world.accents[city].reshape(len(ATTRIBUTES), 3)[trim]
    mixed = 3.0 * urbanity * own + fields[1, trim] + 0.5 * fields[2, trim]
    hue = np.arctan2(mixed[1], mixed[2]) / (2 * np.pi) % 1.0
    lightness = 0.5 + 0.14 * np.tanh(mixed[0] / 2)
    return np.array(colorsys.hls_to_rgb(hue, lightness, 0.75))
