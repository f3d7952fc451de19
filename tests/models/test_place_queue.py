import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geographiclib.geodesic import Geodesic

from geosurge_jax.models.place_queue import empty_queue, jitter, push


def batch(start, count):
    return (
        jnp.stack([jnp.arange(start, start + count), -jnp.arange(start, start + count)], axis=1)
        / 10
    )


@pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 5, 4), (9,)])
def test_the_queue_is_a_list_whose_oldest_fall_out(sizes):
    queue, expected, start = empty_queue(7), [], 1
    for count in sizes:
        valid = np.arange(count) % 3 != 1
        queue = push(queue, batch(start, count), jnp.asarray(valid, jnp.float32))
        rows = [((start + i) / 10, -(start + i) / 10, bool(v)) for i, v in enumerate(valid)]
        expected, start = (rows + expected)[:7], start + count
    counted = np.asarray(queue["valid"]) > 0
    assert counted.tolist() == [v for *_, v in expected] + [False] * (7 - len(expected))
    kept = np.asarray(queue["latlng"])[: len(expected)]
    np.testing.assert_allclose(kept, [row[:2] for row in expected], rtol=1e-6)


def test_a_queue_of_no_length_stays_empty():
    assert push(empty_queue(0), batch(0, 4), jnp.ones(4)) == {}


@pytest.mark.parametrize("latitude", [0.0, 60.0, -75.0])
def test_noise_is_as_many_metres_in_both_directions(latitude):
    places = jnp.tile(jnp.array([[latitude, 179.999]]), (4000, 1))
    moved = np.asarray(jitter(jax.random.key(0), places, 1000.0), np.float64)
    assert moved[:, 1].min() >= -180 and moved[:, 1].max() < 180
    assert (moved[:, 1] < 0).any() and (moved[:, 1] > 0).any(), "the date line is crossed"
    lines = [Geodesic.WGS84.Inverse(latitude, 179.999, *place) for place in moved[:400]]
    north = [line["s12"] * np.cos(np.radians(line["azi1"])) for line in lines]
    east = [line["s12"] * np.sin(np.radians(line["azi1"])) for line in lines]
    # 400 samples: the deviation's own deviation is 3.5 %.
    np.testing.assert_allclose([np.std(north), np.std(east)], 1000.0, rtol=0.11)


def test_noise_at_the_poles_stays_on_the_earth():
    moved = np.asarray(jitter(jax.random.key(1), jnp.array([[90.0, 10.0], [-90.0, -180.0]]), 1e4))
    assert np.all(np.isfinite(moved)) and np.all(np.abs(moved[:, 0]) <= 90)
    assert np.all((moved[:, 1] >= -180) & (moved[:, 1] < 180))


def test_no_noise_leaves_places_where_they_are():
    places = jnp.array([[10.0, 20.0], [-30.0, -179.5]])
    np.testing.assert_allclose(jitter(jax.random.key(0), places, 0.0), places, atol=2e-5)
