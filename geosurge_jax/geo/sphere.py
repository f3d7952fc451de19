"""Points on the sphere: unit vectors, great-circle distance, spherical mean.

Each function is written against the array API of its arguments, so that one source serves NumPy and
jax arrays, also inside `jax.jit`; the result has the dtype of the input. Float32 is good to about 2
m in distance, float64 to about 1 um.
"""

import math
from typing import Any, TypeVar

import numpy as np

EARTH_RADIUS_KM = 6371.0

# A NumPy or a jax array. There is no common base class to name.
Array = TypeVar("Array", bound=Any)


def unit_vectors(latlng: Array) -> Array:
    """Unit vectors [..., 3] from degrees [..., 2]: x towards (0, 0), y towards (0, 90), z north."""
    xp = latlng.__array_namespace__()
    radians = latlng * (math.pi / 180.0)
    latitude, longitude = radians[..., 0], radians[..., 1]
    cos_latitude = xp.cos(latitude)
    return xp.stack(
        [cos_latitude * xp.cos(longitude), cos_latitude * xp.sin(longitude), xp.sin(latitude)],
        axis=-1,
    )


def latlng_from_unit_vectors(vectors: Array) -> Array:
    """Degrees [..., 2], longitude in [-180, 180), from vectors [..., 3] of any length but zero."""
    xp = vectors.__array_namespace__()
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    latitude = xp.atan2(z, xp.sqrt(x * x + y * y)) * (180.0 / math.pi)
    longitude = xp.atan2(y, x) * (180.0 / math.pi)
    longitude = xp.where(longitude >= 180.0, longitude - 360.0, longitude)
    return xp.stack([latitude, longitude], axis=-1)


def great_circle_km(a: Array, b: Array, radius_km: float = EARTH_RADIUS_KM) -> Array:
    """Length of the shortest way over a sphere between points, in km.

    The haversine h of the angle is taken together with 1 - h in a form free of cancellation, so
    that the result keeps its precision for neighbours and for antipodes, which arcsin(sqrt(h))
    loses at one end and arccos(dot) at the other.

    Args:
        a: degrees, [..., 2].
        b: degrees, [..., 2]; the leading axes broadcast against those of `a`.
        radius_km: radius of the sphere.

    Returns:
        km, [...]. The gradient at distance zero is not finite.
    """
    xp = a.__array_namespace__()
    # Differences are taken in degrees, where those of neighbours are exact.
    half_step = (b - a) * (math.pi / 360.0)
    middle = (b[..., 0] + a[..., 0]) * (math.pi / 360.0)
    cosines = xp.cos(a[..., 0] * (math.pi / 180.0)) * xp.cos(b[..., 0] * (math.pi / 180.0))
    near = xp.sin(half_step[..., 0]) ** 2 + cosines * xp.sin(half_step[..., 1]) ** 2
    far = xp.sin(middle) ** 2 + cosines * xp.cos(half_step[..., 1]) ** 2
    return (2.0 * radius_km) * xp.atan2(xp.sqrt(near), xp.sqrt(far))


def spherical_mean(latlng: Array) -> Array:
    """The point [2] whose unit vector is the normalised mean of those of the points [M, 2].

    The result is NaN where the unit vectors cancel, as for two antipodes: such points have no mean.

    Raises:
        ValueError: `latlng` is not [M, 2] with at least one point.
    """
    if latlng.ndim != 2 or latlng.shape[0] == 0 or latlng.shape[1] != 2:
        raise ValueError(f"latlng has shape {latlng.shape}, expected [M, 2] with M at least 1")
    xp = latlng.__array_namespace__()
    mean = xp.mean(unit_vectors(latlng), axis=0)
    # Rounding leaves a vector of about the machine precision where the sum is zero.
    cancelled = xp.sqrt(xp.sum(mean * mean)) < 4 * float(np.finfo(mean.dtype).eps)
    return xp.where(cancelled, math.nan, latlng_from_unit_vectors(mean))
