"""Sphere functions against float64 formulas written here, geographiclib, and each other under
jax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geographiclib.geodesic import Geodesic

from geosurge_jax import geo

SPHERE = Geodesic(6371.0, 0.0)  # a geodesic on an ellipsoid without flattening is a great circle


def random_latlng(count, seed):
    rng = np.random.default_rng(seed)
    return rng.uniform([-90, -180], [90, 180], (count, 2))


def oracle_km(a, b):
    return np.array(
        [SPHERE.Inverse(*p, *q)["s12"] for p, q in zip(a.tolist(), b.tolist(), strict=True)]
    )


def test_great_circle_equals_geographiclib_on_a_sphere():
    a, b = random_latlng(500, 0), random_latlng(500, 1)
    np.testing.assert_allclose(geo.great_circle_km(a, b), oracle_km(a, b), rtol=1e-12)


@pytest.mark.parametrize("step", [1e-9, 1e-6, 1e-3])
def test_great_circle_keeps_its_precision_for_neighbours_and_antipodes(step):
    a = random_latlng(100, 2) * [0.9, 0.98]
    near = a + [step, step]
    flat = np.radians(near - a)
    flat[:, 1] *= np.cos(np.radians((a + near) / 2))[:, 0]
    expected = 6371.0 * np.hypot(flat[:, 0], flat[:, 1])
    np.testing.assert_allclose(geo.great_circle_km(a, near), expected, rtol=1e-8)
    far = np.stack([-near[:, 0], near[:, 1] - 180 * np.sign(near[:, 1])], axis=-1)
    missing = np.pi * 6371.0 - geo.great_circle_km(a, far)
    np.testing.assert_allclose(missing, expected, rtol=1e-8, atol=2e-11)


def test_great_circle_of_equal_points_broadcasting_and_radius():
    a = random_latlng(5, 3)
    table = geo.great_circle_km(a[:, None], a[None])
    assert table.shape == (5, 5)
    np.testing.assert_array_equal(np.diag(table), 0.0)
    np.testing.assert_allclose(table, table.T, rtol=1e-14)
    np.testing.assert_allclose(geo.great_circle_km(a[0], a[1], 1.0) * 6371.0, table[0, 1])
    pole = geo.great_circle_km(np.array([90.0, 12.0]), np.array([-90.0, 99.0]))
    np.testing.assert_allclose(pole, np.pi * 6371.0)


def test_unit_vectors_and_back():
    latlng = random_latlng(500, 4)
    phi, theta = np.deg2rad(latlng).T
    expected = np.stack(
        [np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=-1
    )
    vectors = geo.unit_vectors(latlng)
    np.testing.assert_allclose(vectors, expected, atol=1e-15)
    np.testing.assert_allclose(geo.latlng_from_unit_vectors(7.5 * vectors), latlng, atol=1e-11)


def test_longitudes_come_back_below_180():
    west = geo.latlng_from_unit_vectors(geo.unit_vectors(np.array([[10.0, 180.0], [0.0, -180.0]])))
    np.testing.assert_allclose(west, [[10.0, -180.0], [0.0, -180.0]])


def test_spherical_mean_crosses_the_antimeridian_and_the_pole():
    across = geo.spherical_mean(np.array([[0.0, 179.0], [0.0, -179.0]]))
    np.testing.assert_allclose(across, [0.0, -180.0], atol=1e-12)
    over = geo.spherical_mean(np.array([[80.0, 0.0], [80.0, 120.0], [80.0, -120.0]]))
    np.testing.assert_allclose(over[0], 90.0, atol=1e-6)
    half = geo.spherical_mean(np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 90.0]]))
    np.testing.assert_allclose(half, [0.0, np.degrees(np.arctan2(1, 2))])


def test_antipodes_have_no_mean():
    for latlng in (
        [[0.0, 0.0], [0.0, 180.0]],
        [[90.0, 0.0], [-90.0, 0.0]],
        [[33.3, 7], [-33.3, -173]],
    ):
        assert np.isnan(geo.spherical_mean(np.array(latlng))).all()


@pytest.mark.parametrize("shape", [(0, 2), (2,), (3, 3)])
def test_spherical_mean_refuses_what_is_not_a_set_of_points(shape):
    with pytest.raises(ValueError, match=r"expected \[M, 2\]"):
        geo.spherical_mean(np.zeros(shape))


@pytest.mark.parametrize("transform", [lambda function: function, jax.jit], ids=["eager", "jit"])
def test_jax_arrays_take_the_same_functions(transform):
    a = random_latlng(64, 5).astype(np.float32)
    b = random_latlng(64, 6).astype(np.float32)
    exact_a, exact_b = a.astype(np.float64), b.astype(np.float64)
    results = {
        "km": (
            transform(geo.great_circle_km)(jnp.array(a), jnp.array(b)),
            oracle_km(exact_a, exact_b),
        ),
        "vectors": (transform(geo.unit_vectors)(jnp.array(a)), geo.unit_vectors(exact_a)),
        "mean": (transform(geo.spherical_mean)(jnp.array(a)), geo.spherical_mean(exact_a)),
    }
    for name, (result, expected) in results.items():
        assert isinstance(result, jax.Array) and result.dtype == jnp.float32, name
        np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-6, err_msg=name)
    back = transform(geo.latlng_from_unit_vectors)(jnp.array(geo.unit_vectors(a)))
    assert np.max(geo.great_circle_km(np.asarray(back, np.float64), exact_a)) < 0.005
    assert geo.great_circle_km(a, b).dtype == np.float32
