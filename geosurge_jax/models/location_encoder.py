"""GeoCLIP's location encoder (Vivanco Cepeda et al. 2023, section 3.2): places to vectors.

A place is projected onto a plane; capsules, one for each scale, look at it through random Fourier features
(Tancik et al. 2020) and an MLP; their outputs are summed. The projection is Equal Earth; G3 (Jia et al. 2024)
trained the same capsules on the Web Mercator, and no file says which of the two it was.
"""

import math
from dataclasses import dataclass
from functools import reduce

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.sharding import STORAGE_AXIS, PartitionRules, replicated

HIDDEN_LAYERS = 3

# Savric, Patterson and Jenny 2018, "The Equal Earth map projection", equation 5 and table 1.
EQUAL_EARTH = (1.340264, -0.081106, 0.000893, 0.003796)
# GeoCLIP's own scale of the plane, whose longer axis then spans about -1 to 1.
EQUAL_EARTH_SCALE = 66.50336 / 180

# Where the Web Mercator of the poles, which lie at infinity, is taken; far beyond its usual edge at 85.06.
MERCATOR_LIMIT = 89.9


def equal_earth(latlng: jax.Array) -> jax.Array:
    """Projects `latlng float32 [..., 2]` in degrees to `[..., 2]`: east first, then north."""
    a1, a2, a3, a4 = EQUAL_EARTH
    latitude, longitude = jnp.moveaxis(jnp.radians(latlng), -1, 0)
    theta = jnp.arcsin(math.sqrt(3) / 2 * jnp.sin(latitude))
    square = theta * theta
    sixth = square * square * square
    north = theta * (a1 + a2 * square + sixth * (a3 + a4 * square))
    slope = a1 + 3 * a2 * square + sixth * (7 * a3 + 9 * a4 * square)
    east = 2 * math.sqrt(3) / 3 * longitude * jnp.cos(theta) / slope
    return EQUAL_EARTH_SCALE * jnp.stack([east, north], axis=-1)


def web_mercator(latlng: jax.Array) -> jax.Array:
    """Projects `latlng float32 [..., 2]` in degrees to `[..., 2]`: north first, the square is -1 to 1."""
    latitude, longitude = jnp.moveaxis(latlng, -1, 0)
    latitude = jnp.radians(jnp.clip(latitude, -MERCATOR_LIMIT, MERCATOR_LIMIT))
    return jnp.stack([jnp.arcsinh(jnp.tan(latitude)) / math.pi, longitude / 180], axis=-1)


PROJECTIONS = {"equal_earth": equal_earth, "web_mercator": web_mercator}


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


def fourier_features(plane: jax.Array, frequencies: jax.Array) -> jax.Array:
    """Cosines, then sines, of a place's phase at each frequency.

    Phases reach hundreds of cycles, so they are summed in float32 whatever the compute type and the
    hardware's matrix unit, and whole cycles, which are exact, are taken off before they become radians.

    Args:
        plane: float32 `[..., 2]`.
        frequencies: float32 `[F, 2]`, in cycles.

    Returns:
        float32 `[..., 2 F]`.
    """
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
    def __call__(self, plane: jax.Array) -> jax.Array:
        """Maps projected places `plane float32 [M, 2]` to `[M, E]`."""
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
    def __call__(self, latlng: jax.Array) -> jax.Array:
        """Encodes `latlng float32 [M, 2]` in degrees into `[M, E]`, not normalised."""
        plane = PROJECTIONS[self.config.projection](latlng)
        vectors = [
            Capsule(self.config, sigma, self.dtype, name=f"capsules_{index}")(plane)
            for index, sigma in enumerate(self.config.sigmas)
        ]
        return reduce(jnp.add, vectors)
