"""How a table measures: named distance protocols and how a distance is compared with a radius.

Published evaluators disagree: ISN, OSV-5M and PLONK measure on a sphere of 6371 km, PIGEON on one
of 6378.137 km, GeoCLIP and G3 on the WGS84 ellipsoid; some count a distance equal to the radius as
a hit and some do not. On the same predictions that moves an accuracy by up to 0.4 points, so every
table names the protocol that it used.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from geographiclib.geodesic import Geodesic

from geosurge_jax.geo.sphere import EARTH_RADIUS_KM, great_circle_km


@dataclass(frozen=True)
class DistanceProtocol:
    """One way to measure a distance on the Earth.

    Attributes:
        name: the key in `DISTANCE_PROTOCOLS`.
        description: what a table prints.
        radius_km: radius of the sphere, or None for the WGS84 ellipsoid.
    """

    name: str
    description: str
    radius_km: float | None

    def distance_km(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Distances in km, float64 [...], between points in degrees [..., 2] that broadcast.

        A pair takes about 0.1 us on a sphere and 60 us on the ellipsoid.
        """
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        if self.radius_km is not None:
            return great_circle_km(a, b, self.radius_km)
        a, b = np.broadcast_arrays(a, b)
        pairs = np.concatenate([a, b], axis=-1).reshape(-1, 4)
        metres = [
            Geodesic.WGS84.Inverse(lat_a, lng_a, lat_b, lng_b, Geodesic.DISTANCE)["s12"]
            for lat_a, lng_a, lat_b, lng_b in pairs.tolist()
        ]
        return np.array(metres).reshape(a.shape[:-1]) / 1000.0


DISTANCE_PROTOCOLS: Mapping[str, DistanceProtocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            DistanceProtocol("sphere_6371", "great circle, sphere of 6371.0 km", EARTH_RADIUS_KM),
            DistanceProtocol("sphere_6378_137", "great circle, sphere of 6378.137 km", 6378.137),
            DistanceProtocol("wgs84", "geodesic on the WGS84 ellipsoid", None),
        )
    }
)

COMPARISONS: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = MappingProxyType(
    {"<=": operator.le, "<": operator.lt}
)


def within(distance_km: np.ndarray, radius_km: float, comparison: str = "<=") -> np.ndarray:
    """Whether distances [...] count as hits within a radius, bool [...].

    Raises:
        ValueError: `comparison` is neither "<=" nor "<".
    """
    if comparison not in COMPARISONS:
        raise ValueError(f"comparison is {comparison!r}, expected one of {', '.join(COMPARISONS)}")
    return COMPARISONS[comparison](distance_km, radius_km)
