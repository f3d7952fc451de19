"""Float64 NumPy twins of the location encoder's parts."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def float64_equal_earth(latlng: np.ndarray) -> np.ndarray:
    """Savric, Patterson and Jenny 2018, equations 4 and 5, and GeoCLIP's scale."""
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    latitude, longitude = np.radians(latlng.astype(np.float64)).T
    t = np.arcsin(np.sqrt(3) / 2 * np.sin(latitude))
    east = 2 * np.sqrt(3) * longitude * np.cos(t)
    east /= 3 * (9 * a4 * t**8 + 7 * a3 * t**6 + 3 * a2 * t**2 + a1)
    north = a4 * t**9 + a3 * t**7 + a2 * t**3 + a1 * t
    return np.stack([east, north], 1) * 66.50336 / 180


def float64_location_encoder(params: Mapping[str, Any], latlng: np.ndarray) -> np.ndarray:
    """Returns the vectors `[M, E]` of coordinates, by the equations of GeoCLIP's section 3.2.

    Args:
        params: the encoder's parameters, a capsule for each scale.
        latlng: degrees `[M, 2]`.
    """
    total: Any = 0.0
    for capsule in params.values():
        cycles = float64_equal_earth(latlng) @ np.float64(capsule["frequencies"]).T
        x = np.concatenate([np.cos(2 * np.pi * cycles), np.sin(2 * np.pi * cycles)], 1)
        for name in sorted(name for name in capsule if name.startswith("layers_")):
            x = np.maximum(_dense(capsule[name], x), 0)
        total = total + _dense(capsule["head"], x)
    return total


def _dense(layer: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    return x @ np.float64(layer["kernel"]) + np.float64(layer["bias"])
