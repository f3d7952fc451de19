"""GeoCLIP's location encoder (Vivanco Cepeda et al. 2023, section 3.2): places to vectors.

A place is projected onto a plane; capsules, one for each scale, look at it through random Fourier features
(Tancik et al. 2020) and an MLP; their outputs are summed. The projection is Equal Earth; G3 (Jia et al. 2024)
trained the same capsules on the Web Mercator, and no file says which of the two it was.
"""

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import PartitionSpec

from geosurge_jax.models.sharding import STORAGE_AXIS, PartitionRules, replicated

HIDDEN_LAYERS = 3

# Savric, Patterson and Jenny 2018, "The Equal Earth map projection", equation 5 and table 1.
EQUAL_EARTH = (1.340264, -0.081106, 0.000893, 0.003796)
# The square root of 3 as float32, which the official code has in any precision: 1e-8 of the plane's length is
# 0.0001 radians of the finest capsule's phases.
ROOT_OF_3 = 1.7320507764816284
# GeoCLIP's own scale of the plane, whose longer axis then spans about -1 to 1.
EQUAL_EARTH_SCALE = 66.50336 / 180

# Where the Web Mercator of the poles, which lie at infinity, is taken; far beyond its usual edge at 85.06.
MERCATOR_LIMIT = 89.9


def equal_earth(latlng: Any, numpy: Any = jnp) -> Any:
    """Projects `latlng [..., 2]` in degrees to `[..., 2]`: east first, then north.

    Args:
        latlng: float32 on a device, or float64 on the host.
        numpy: `jax.numpy` or `numpy`, what computes.
    """
    a1, a2, a3, a4 = EQUAL_EARTH
    latitude, longitude = numpy.moveaxis(numpy.radians(latlng), -1, 0)
    theta = numpy.arcsin(ROOT_OF_3 / 2 * numpy.sin(latitude))
    square = theta * theta
    sixth = square * square * square
    north = theta * (a1 + a2 * square + sixth * (a3 + a4 * square))
    slope = a1 + 3 * a2 * square + sixth * (7 * a3 + 9 * a4 * square)
    east = 2 * ROOT_OF_3 / 3 * longitude * numpy.cos(theta) / slope
    return EQUAL_EARTH_SCALE * numpy.stack([east, north], axis=-1)


def web_mercator(latlng: Any, numpy: Any = jnp) -> Any:
    """Projects `latlng [..., 2]` in degrees to `[..., 2]`: north first, the square is -1 to 1.

    Args:
        latlng: float32 on a device, or float64 on the host.
        numpy: `jax.numpy` or `numpy`, what computes.
    """
    latitude, longitude = numpy.moveaxis(latlng, -1, 0)
    latitude = numpy.radians(numpy.clip(latitude, -MERCATOR_LIMIT, MERCATOR_LIMIT))
    return numpy.stack([numpy.arcsinh(numpy.tan(latitude)) / math.pi, longitude / 180], axis=-1)


PROJECTIONS = {"equal_earth": equal_earth, "web_mercator": web_mercator}


@struct.dataclass
class PlanePoints:
    """Points of the projection's plane, each as the sum of two float32 numbers.

    One float32 leaves 0.0002 radians of error in the phases of the finest capsule, which is most of the error
    of a gallery's vectors. Places that are known on the host are projected in float64 and come as these.

    Attributes:
        position: float32 `[M, 2]`, nearest to the point.
        remainder: float32 `[M, 2]`, what is left.
    """

    position: jax.Array
    remainder: jax.Array


def project_on_host(latlng: np.ndarray, projection: str) -> np.ndarray:
    """Projects places in float64.

    Args:
        latlng: degrees `[M, 2]`; rounded to float32 first, as the encoder was trained on them.
        projection: a name in `PROJECTIONS`.

    Returns:
        float32 `[M, 4]`: position and remainder of `PlanePoints`.
    """
    exact = PROJECTIONS[projection](latlng.astype(np.float32).astype(np.float64), np)
    position = exact.astype(np.float32)
    return np.concatenate([position, (exact - position).astype(np.float32)], axis=1)


@dataclass(frozen=True)
class LocationEncoderConfig:
    """Choices of one location encoder.

    Attributes:
        projection: a name in `PROJECTIONS`: "equal_earth" (GeoCLIP) or "web_mercator" (G3).
        sigmas: standard deviation of the frequencies of each capsule, in cycles over a plane of length 1
            (GeoCLIP 1, 16, 256).
        frequencies: F, of each capsule (GeoCLIP 256).
        hidden: width of the three hidden layers (GeoCLIP 1024).
        width: E, of the output (GeoCLIP 512).
    """

    projection: str
    sigmas: tuple[float, ...]
    frequencies: int
    hidden: int
    width: int

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the field."""
        if self.projection not in PROJECTIONS:
            raise ValueError(
                f"location encoder: projection={self.projection!r}: expected one of {[*PROJECTIONS]}"
            )
        if not self.sigmas or min(self.sigmas) <= 0:
            raise ValueError(f"location encoder: sigmas={self.sigmas}: expected values above 0")
        for name in ("frequencies", "hidden", "width"):
            if vars(self)[name] < 1:
                raise ValueError(f"location encoder: {name}={vars(self)[name]}: expected 1 or more")

    @property
    def frozen_rules(self) -> tuple[str, ...]:
        """Path patterns, relative to the encoder, of the parameters that are not trained: the frequencies."""
        return (r"capsules_\d+/frequencies$",)

    @property
    def partition_rules(self) -> PartitionRules:
        """How the parameters lie on the mesh; paths relative to the encoder."""
        return (
            (r"capsules_\d+/\w+/kernel$", PartitionSpec(None, STORAGE_AXIS)),
            replicated(r"capsules_\d+/(\w+/bias|frequencies)$"),
        )


def exact_cycles(plane: PlanePoints, frequencies: jax.Array) -> jax.Array:
    """Returns the fraction of a cycle at each point and frequency, to float32's last bits.

    The product of two float32 numbers is the sum of two others (Dekker 1971, "A floating-point technique for
    extending the available precision"); whole cycles are taken off the larger one, exactly.

    Args:
        plane: `[M, 2]`.
        frequencies: float32 `[F, 2]`, in cycles.

    Returns:
        float32 `[M, F]`, around 0.
    """

    def halves(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Splits 24 bits into two numbers of 12."""
        scaled = 4097.0 * x
        high = scaled - (scaled - x)
        return high, x - high

    total: Any = 0.0
    for axis in range(2):
        point, rest = plane.position[:, axis, None], plane.remainder[:, axis, None]
        frequency = frequencies[None, :, axis]
        product = point * frequency
        (a, b), (c, d) = halves(point), halves(frequency)
        error = ((a * c - product) + a * d + b * c) + b * d
        total += (product - jnp.round(product)) + (error + rest * frequency)
    return total - jnp.round(total)


def fourier_features(plane: jax.Array | PlanePoints, frequencies: jax.Array) -> jax.Array:
    """Cosines, then sines, of a place's phase at each frequency.

    Phases reach hundreds of cycles, so they are summed in float32 whatever the compute type and the
    hardware's matrix unit, and whole cycles, which are exact, are taken off before they become radians.

    Args:
        plane: float32 `[..., 2]`, or points `[M, 2]`.
        frequencies: float32 `[F, 2]`, in cycles.

    Returns:
        float32 `[..., 2 F]`.
    """
    if isinstance(plane, PlanePoints):
        phase = 2 * math.pi * exact_cycles(plane, frequencies)
        return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=-1)
    first, second = frequencies[:, 0], frequencies[:, 1]
    plane = plane[..., None, :]
    leading = (None,) * (plane.ndim - 2)
    cycles = plane[..., 0] * first[leading] + plane[..., 1] * second[leading]
    phase = 2 * math.pi * (cycles - jnp.round(cycles))
    return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=-1)


class Capsule(nn.Module):
    """One scale of the encoder."""

    config: LocationEncoderConfig
    sigma: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, plane: jax.Array | PlanePoints) -> jax.Array:
        """Maps projected places, float32 `[M, 2]` or `PlanePoints`, to `[M, E]`."""
        config = self.config
        frequencies = self.param(
            "frequencies", nn.initializers.normal(self.sigma), (config.frequencies, 2)
        )
        x = fourier_features(plane, frequencies).astype(self.dtype)
        for index in range(HIDDEN_LAYERS):
            x = jax.nn.relu(nn.Dense(config.hidden, dtype=self.dtype, name=f"layers_{index}")(x))
        return nn.Dense(config.width, dtype=self.dtype, name="head")(x)


class LocationEncoder(nn.Module):
    """Places to vectors.

    Attributes:
        config: its choices.
        dtype: compute type of the MLPs; parameters are float32.
    """

    config: LocationEncoderConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, places: jax.Array | PlanePoints) -> jax.Array:
        """Encodes places into `[M, E]`, not normalised.

        Args:
            places: degrees float32 `[M, 2]`, or points that are projected already.
        """
        plane = places
        if not isinstance(places, PlanePoints):
            plane = PROJECTIONS[self.config.projection](places)
        vectors = [
            Capsule(self.config, sigma, self.dtype, name=f"capsules_{index}")(plane)
            for index, sigma in enumerate(self.config.sigmas)
        ]
        return reduce(jnp.add, vectors)
