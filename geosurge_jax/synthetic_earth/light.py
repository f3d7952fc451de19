"""The light of the day: sun, sky, season, weather and camera turn painted surfaces into pixels.

Nothing here can change what the picture shows, so a class map stays the same in any light.
"""

from dataclasses import dataclass

import numpy as np

from geosurge_jax.synthetic_earth.canvas import (
    COLOUR,
    DEPTH,
    FACING,
    GLOW,
    LEAF,
    SKY,
    SNOW,
    Canvas,
    noise_tile,
)
from geosurge_jax.synthetic_earth.style import Place


def _colour(red: float, green: float, blue: float) -> np.ndarray:
    """A colour as planes [3, 1, 1]."""
    return np.array([red, green, blue], np.float32)[:, None, None]


WEATHERS = ("clear", "cloudy", "overcast", "rain", "fog")
# Share of the sun that comes through, cloud cover, haze.
_WEATHER = {
    "clear": (1.0, 0.10, 0.05),
    "cloudy": (0.85, 0.55, 0.08),
    "overcast": (0.15, 1.0, 0.15),
    "rain": (0.08, 1.0, 0.25),
    "fog": (0.10, 1.0, 0.75),
}
_NOON_SUN = _colour(1.05, 1.0, 0.92)
_LOW_SUN = _colour(1.15, 0.72, 0.42)
_ZENITH, _HORIZON = _colour(0.26, 0.48, 0.82), _colour(0.72, 0.84, 0.95)
_DUSK, _NIGHT = _colour(0.95, 0.62, 0.42), _colour(0.07, 0.10, 0.21)
_CLOUD = _colour(0.93, 0.94, 0.96)
_LAMPLIGHT = _colour(1.0, 0.82, 0.48)
_SNOW_WHITE = _colour(0.92, 0.94, 0.97)
_AUTUMN, _BARE = _colour(0.78, 0.45, 0.14), _colour(0.42, 0.36, 0.32)
_GRAIN = 0.012


@dataclass(frozen=True)
class Nuisance:
    """What changes a photo but not where it was taken.

    Attributes:
        season: Fraction of the year, 0 = 1 January.
        hour: Local solar time, 0..24.
        weather: One of WEATHERS.
        exposure: Stops over or under.
        cast: Gains of red, green and blue.
        viewpoint: Seed of what the photo shows and from where; the only one to move the class map.
    """

    season: float = 0.5
    hour: float = 12.0
    weather: str = "clear"
    exposure: float = 0.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    viewpoint: int = 0


def sun_direction(latitude: float, season: float, hour: float, heading: float) -> np.ndarray:
    """Unit vector [3] to the sun: right of the camera, up, ahead.

    Args:
        latitude: Degrees.
        season: Fraction of the year.
        hour: Solar time.
        heading: Compass direction of the camera, degrees from north over east.
    """
    declination = np.deg2rad(-23.44 * np.cos(2 * np.pi * (season + 0.027)))
    north, turn = np.deg2rad(latitude), np.deg2rad(15.0 * (hour - 12.0))
    up = np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(declination) * np.cos(turn)
    east = -np.cos(declination) * np.sin(turn)
    northward = np.cos(north) * np.sin(declination)
    northward -= np.sin(north) * np.cos(declination) * np.cos(turn)
    angle = np.deg2rad(heading)
    ahead = np.sin(angle) * east + np.cos(angle) * northward
    right = np.cos(angle) * east - np.sin(angle) * northward
    return np.array([right, up, ahead])


def develop(
    canvas: Canvas, place: Place, nuisance: Nuisance, heading: float, indoor: bool
) -> np.ndarray:
    """The photo, uint8 [S, S, 3], of a painted canvas."""
    through, clouds, haze = _WEATHER[nuisance.weather]
    sun = sun_direction(place.latitude, nuisance.season, nuisance.hour, heading)
    day = float(np.clip(sun[1] / 0.25 + 0.35, 0.0, 1.0))
    rng = np.random.default_rng([nuisance.viewpoint, 7])
    sky, air = _sky(canvas, rng, sun, day, clouds, _colour(*place.air))
    surfaces = _seasonal(canvas, place, nuisance)
    lit = surfaces * _illumination(canvas, sun, day, through, indoor)
    glow = canvas.surfaces[GLOW] * (0.85 if indoor else 1.0 - day)
    lit = lit + glow * ((surfaces if indoor else 1.0) * _LAMPLIGHT - lit)
    if not indoor:
        depth = canvas.surfaces[DEPTH]
        veil = 1 - np.exp(-depth * (0.35 + 3.2 * haze))
        lit = lit + veil * (air - lit)
    photo = lit + canvas.surfaces[SKY] * (sky - lit)
    if nuisance.weather == "rain" and not indoor:
        photo = _precipitation(canvas, photo, rng, _snowfall(place, nuisance.season))
    return _expose(photo, rng, nuisance, day, indoor)


def _illumination(
    canvas: Canvas, sun: np.ndarray, day: float, through: float, indoor: bool
) -> np.ndarray:
    """Light [3, S, S] on each surface: sky from all sides, sun on what turns to it."""
    low = float(np.clip(1 - sun[1] / 0.45, 0.0, 1.0))
    colour = _NOON_SUN + low * (_LOW_SUN - _NOON_SUN)
    strength = 0.62 * through * float(np.clip(sun[1] / 0.15 + 0.2, 0, 1))
    facing = canvas.surfaces[FACING]
    share = np.clip(0.72 + 0.75 * facing * sun[0], 0.05, 1.5)
    ambient = 0.20 + day * (0.37 + 0.16 * (1 - through))
    if indoor:
        return (0.6 + 0.35 * day) * (1 + 0.2 * facing * sun[0]) * _colour(1.0, 1.0, 1.0)
    sky_tint = _colour(0.94, 0.98, 1.06) if day > 0.5 else _colour(0.8, 0.9, 1.2)
    return (ambient * sky_tint + strength * share * colour).astype(np.float32)


def _sky(
    canvas: Canvas,
    rng: np.random.Generator,
    sun: np.ndarray,
    day: float,
    clouds: float,
    tint: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The sky [3, S, S] and the colour of the air at the horizon [3, 1, 1]."""
    low = float(np.clip(1 - abs(sun[1]) / 0.3, 0.0, 1.0))
    zenith = _NIGHT + day * (_ZENITH + tint - _NIGHT)
    horizon = 1.3 * _NIGHT + day * (_HORIZON + tint - 1.3 * _NIGHT)
    horizon = horizon + 0.75 * low * (1 - 0.7 * clouds) * (_DUSK - horizon)
    height = np.clip(1 - canvas.v / 0.55, 0, 1) ** 0.8
    sky = horizon + height * (zenith - horizon)
    towards = np.exp(-(((canvas.u - 0.5 - 0.6 * sun[0]) / 0.45) ** 2)) * np.exp(-canvas.v / 0.5)
    halo = 0.35 * day * (1 - clouds) * np.clip(sun[2] + 0.6, 0, 1)
    sky = sky + (halo * towards) * (_colour(1.0, 0.95, 0.8) - sky)
    cover = np.clip((_cloud_field(canvas, rng) + 3.0 * clouds - 1.5) * 1.6, 0, min(1, clouds + 0.4))
    light = (0.12 + 0.88 * day) * (1 - 0.25 * clouds)
    cloud = light * (_CLOUD + 0.6 * tint + 0.5 * low * day * (_DUSK - _CLOUD))
    sky = sky + cover * (cloud - sky)
    air = horizon + clouds * (light * (_CLOUD + 0.6 * tint) * 0.92 - horizon)
    return sky.astype(np.float32), air.astype(np.float32)


def _cloud_field(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    tile = noise_tile()
    shift = rng.integers(0, len(tile), 4)
    columns, rows = canvas.u[0], canvas.v[:, 0]
    field = np.zeros((canvas.size, canvas.size), np.float32)
    for octave, weight in ((0, 0.65), (1, 0.35)):
        x = (columns * 40 * 2**octave + shift[2 * octave]).astype(np.int64) % len(tile)
        y = (rows * 100 * 2**octave + shift[2 * octave + 1]).astype(np.int64) % len(tile)
        field += weight * tile[np.ix_(y, x)]
    return field


def _snowfall(place: Place, season: float) -> float:
    """How much snow lies, 0..1, from the temperature of the season."""
    cold = float(place.climate.month_temperature(season)[0])
    return float(np.clip((0.5 - cold) / 5.0, 0, 1) * np.clip(0.35 + place.moisture, 0, 1))


def _seasonal(canvas: Canvas, place: Place, nuisance: Nuisance) -> np.ndarray:
    """Surface colours [3, S, S] with autumn leaves, bare twigs and snow."""
    colours = canvas.surfaces[COLOUR]
    leaf = canvas.surfaces[LEAF]
    mild = float(place.climate.month_temperature(nuisance.season)[0])
    later = float(place.climate.month_temperature(nuisance.season + 0.08)[0])
    bare = float(np.clip((5.0 - mild) / 5.0, 0, 1))
    turning = float(np.clip((12.0 - mild) / 5.0, 0, 1)) * (1 - bare) * (later < mild)
    colours = colours + leaf * turning * (_AUTUMN - colours) * 0.8
    colours = colours + leaf * bare * (_BARE - colours) * 0.7
    snow = canvas.surfaces[SNOW] * _snowfall(place, nuisance.season)
    return (colours + 0.9 * snow * (_SNOW_WHITE - colours)).astype(np.float32)


def _precipitation(
    canvas: Canvas, photo: np.ndarray, rng: np.random.Generator, snow: float
) -> np.ndarray:
    """Streaks of rain, or flakes where it is cold enough for snow to lie."""
    tile = noise_tile()
    stretch = 6.0 if snow < 0.3 else 1.0
    shift = rng.integers(0, len(tile), 2)
    columns = (canvas.u[0] * 900 + shift[0]).astype(np.int64) % len(tile)
    rows = (canvas.v[:, 0] * 900 / stretch + shift[1]).astype(np.int64) % len(tile)
    drops = np.clip(tile[np.ix_(rows, columns)] - 0.62, 0, 1) * (0.5 + 1.2 * snow)
    return photo + drops * (0.85 - photo)


def _expose(
    photo: np.ndarray, rng: np.random.Generator, nuisance: Nuisance, day: float, indoor: bool
) -> np.ndarray:
    """Exposure, colour cast, a soft shoulder and sensor noise; dark scenes are partly pulled up."""
    gain = 2.0**nuisance.exposure * (1.0 if indoor else 1.0 + 0.9 * (1 - day))
    photo = photo * (gain * _colour(*nuisance.cast))
    photo = np.where(photo > 0.8, 0.8 + 0.2 * np.tanh((photo - 0.8) / 0.2), photo)
    noise = rng.standard_normal(photo.shape[1:], np.float32) * _GRAIN
    pixels = (np.clip(photo + noise, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
