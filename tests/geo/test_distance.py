"""Distance protocols: published distances and formulas written here."""

import numpy as np
import pytest

from geosurge_jax import geo

PARIS, NEW_YORK = np.array([48.8566, 2.3522]), np.array([40.7128, -74.0060])


def haversine_km(a, b, radius):
    (lat_a, lng_a), (lat_b, lng_b) = np.radians(a), np.radians(b)
    h = (
        np.sin((lat_b - lat_a) / 2) ** 2
        + np.cos(lat_a) * np.cos(lat_b) * np.sin((lng_b - lng_a) / 2) ** 2
    )
    return 2 * radius * np.arcsin(np.sqrt(h))


def test_protocols_differ_as_named():
    km = {name: p.distance_km(PARIS, NEW_YORK) for name, p in geo.DISTANCE_PROTOCOLS.items()}
    assert set(km) == {"sphere_6371", "sphere_6378_137", "wgs84"}
    assert all(geo.DISTANCE_PROTOCOLS[name].name == name for name in km)
    np.testing.assert_allclose(km["sphere_6371"], haversine_km(PARIS, NEW_YORK, 6371.0))
    np.testing.assert_allclose(km["sphere_6378_137"], haversine_km(PARIS, NEW_YORK, 6378.137))
    assert 1.002 < km["wgs84"] / km["sphere_6371"] < 1.003


def test_wgs84_on_the_equator_and_a_meridian():
    """A degree of the equator is a*pi/180; the quarter meridian of WGS84 is 10001.965729 km."""
    protocol = geo.DISTANCE_PROTOCOLS["wgs84"]
    equator = protocol.distance_km(np.array([0.0, 10.0]), np.array([0.0, 11.0]))
    np.testing.assert_allclose(equator, 6378.137 * np.pi / 180)
    quarter = protocol.distance_km(np.array([0.0, 0.0]), np.array([90.0, 0.0]))
    np.testing.assert_allclose(quarter, 10001.965729, rtol=1e-9)


@pytest.mark.parametrize("name", ["sphere_6371", "sphere_6378_137", "wgs84"])
def test_protocols_broadcast_and_take_float32(name):
    protocol = geo.DISTANCE_PROTOCOLS[name]
    points = np.stack([PARIS, NEW_YORK, [0, 0]]).astype(np.float32)
    table = protocol.distance_km(points[:, None], points[None])
    assert table.shape == (3, 3) and table.dtype == np.float64
    np.testing.assert_allclose(table, table.T)
    np.testing.assert_allclose(table[0, 1], protocol.distance_km(points[0], points[1]))
    assert protocol.distance_km(points[:0], points[:0]).shape == (0,)


def test_a_distance_equal_to_the_radius_counts_by_the_comparison():
    km = np.array([24.999, 25.0, 25.001])
    assert geo.within(km, 25).tolist() == [True, True, False]
    assert geo.within(km, 25, "<=").tolist() == [True, True, False]
    assert geo.within(km, 25, "<").tolist() == [True, False, False]
    with pytest.raises(ValueError, match="comparison is '=<', expected one of <=, <"):
        geo.within(km, 25, "=<")
