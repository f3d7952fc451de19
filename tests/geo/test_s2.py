"""S2 ids against s2sphere, an independent implementation."""

import itertools
from typing import Any

import numpy as np
import pytest
import s2sphere
from hypothesis import given, settings
from hypothesis import strategies as st

from geosurge_jax import geo

LEVELS = (0, 1, 2, 7, 15, 24, 29, 30)
DIAGONAL = 35.264389682754654  # latitude of the corners of the cube


def oracle_leaf_ids(latlng):
    return np.array(
        [
            s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(lat, lng)).id()
            for lat, lng in np.asarray(latlng, np.float64).tolist()
        ],
        np.uint64,
    )


def random_latlng(count, seed=0):
    rng = np.random.default_rng(seed)
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    return np.stack([latitude, rng.uniform(-180, 180, count)], axis=-1)


def hard_latlng():
    """Poles, antimeridian, edges and corners of the cube, and their neighbours in floating
    point."""
    latitudes = [-90, -DIAGONAL, -45, 0, 45, DIAGONAL, 90, 1e-300]
    longitudes = [-180, -135, -90, -45, 0, 45, 90, 135, 180, -1e-300]
    exact = np.array(list(itertools.product(latitudes, longitudes)), np.float64)
    near = [np.nextafter(exact, target) for target in (-1e9, 1e9)]
    # The edges between the top and the side faces are not parallels: a point on one for each
    # longitude.
    longitude = np.linspace(-180, 180, 73)
    off_centre = np.radians((longitude + 45) % 90 - 45)
    edge = np.stack([np.degrees(np.arctan(np.cos(off_centre))), longitude], axis=-1)
    points = np.concatenate([exact, *near, edge, edge * [-1, 1]])
    return np.clip(points, [-90, -180], [90, 180])


def test_leaf_ids_of_100k_random_points():
    latlng = random_latlng(100_000)
    np.testing.assert_array_equal(geo.leaf_ids(latlng), oracle_leaf_ids(latlng))


def test_leaf_ids_of_hard_points():
    latlng = hard_latlng()
    np.testing.assert_array_equal(geo.leaf_ids(latlng), oracle_leaf_ids(latlng))


def test_leaf_ids_of_float32_are_those_of_the_same_numbers_in_float64():
    latlng = np.concatenate([random_latlng(2000), hard_latlng()]).astype(np.float32)
    np.testing.assert_array_equal(geo.leaf_ids(latlng), oracle_leaf_ids(latlng))


@settings(max_examples=200, deadline=None)
@given(st.floats(-90, 90), st.floats(-180, 180))
def test_leaf_ids_of_any_point(latitude, longitude):
    latlng = np.array([[latitude, longitude]])
    np.testing.assert_array_equal(geo.leaf_ids(latlng), oracle_leaf_ids(latlng))


@pytest.mark.parametrize("level", LEVELS)
def test_cells_of_a_level(level):
    leaves = geo.leaf_ids(np.concatenate([random_latlng(300), hard_latlng()]))
    oracle: list[Any] = [s2sphere.CellId(int(leaf)).parent(level) for leaf in leaves]
    ids = geo.parent_ids(leaves, level)
    np.testing.assert_array_equal(geo.parent_ids(leaves, np.array([level], np.int32)[0]), ids)
    np.testing.assert_array_equal(ids, np.array([cell.id() for cell in oracle], np.uint64))
    np.testing.assert_array_equal(geo.cell_levels(ids), level)
    first, last = geo.leaf_ranges(ids)
    assert first.tolist() == [cell.range_min().id() for cell in oracle]
    assert last.tolist() == [cell.range_max().id() for cell in oracle]
    tokens = geo.cell_tokens(ids)
    assert tokens == [cell.to_token() for cell in oracle]
    np.testing.assert_array_equal(geo.ids_from_tokens(tokens), ids)
    centers = geo.cell_centers(ids)
    points = [cell.to_point() for cell in oracle]
    points = np.array([[point[axis] for axis in range(3)] for point in points])
    np.testing.assert_allclose(geo.unit_vectors(centers), points, atol=1e-15)
    assert np.all((centers[:, 1] >= -180) & (centers[:, 1] < 180))
    if level < 30:
        np.testing.assert_array_equal(geo.parent_ids(geo.leaf_ids(centers), level), ids)


@settings(max_examples=200, deadline=None)
@given(st.floats(-89.999, 89.999), st.floats(-180, 180))
def test_a_leaf_is_where_its_point_is(latitude, longitude):
    latlng = np.array([[latitude, longitude]])
    center = geo.cell_centers(geo.leaf_ids(latlng))
    assert geo.great_circle_km(latlng, center)[0] < 1e-5  # a leaf is about 1 cm


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ([np.nan, 0.0], "nan"),
        ([0.0, np.inf], "inf"),
        ([90.001, 0.0], "90.001"),
        ([0, -180.5], "180.5"),
    ],
)
def test_bad_coordinates_are_named(row, value):
    with pytest.raises(ValueError, match=rf"row 1 is .*{value}"):
        geo.leaf_ids(np.array([[1.0, 2.0], row, [np.nan, 0.0]]))


@pytest.mark.parametrize("shape", [(2,), (3, 3), (2, 2, 2)])
def test_bad_shapes_are_named(shape):
    with pytest.raises(ValueError, match=r"expected \[M, 2\]"):
        geo.leaf_ids(np.zeros(shape))


@pytest.mark.parametrize(
    "token", ["", "X", "4.7E+064", "478e40", "0", "47e64" + "1" * 12, "f", "8A"]
)
def test_bad_tokens_are_named(token):
    with pytest.raises(ValueError, match="row 1: .* is not an S2 token"):
        geo.ids_from_tokens(["47e63", token])


def test_ids_that_are_no_cells_are_refused():
    for wrong in (0, 2, 0xE000000000000001):
        with pytest.raises(ValueError, match="is not an S2 cell id"):
            geo.cell_levels(np.array([1, wrong], np.uint64))


def test_parents_coarser_than_the_cell_only():
    cell = geo.parent_ids(geo.leaf_ids(np.zeros((1, 2))), 5)
    with pytest.raises(ValueError, match="level 5 has no ancestor at level 6"):
        geo.parent_ids(cell, 6)
    with pytest.raises(ValueError, match="level is 31"):
        geo.parent_ids(cell, 31)


def test_no_points_are_no_ids():
    assert geo.leaf_ids(np.zeros((0, 2))).shape == (0,)
    assert geo.cell_centers(np.zeros(0, np.uint64)).shape == (0, 2)


def test_outlines_are_s2s_vertices_with_points_on_the_edges_between():
    rng = np.random.default_rng(3)
    latlng = np.stack([rng.uniform(-90, 90, 60), rng.uniform(-180, 180, 60)], axis=1)
    ids = np.concatenate([geo.parent_ids(geo.leaf_ids(latlng), level) for level in (0, 1, 5, 20)])
    outlines = geo.unit_vectors(geo.cell_outlines(ids, points_along_an_edge=4))
    for cell, outline in zip(ids.tolist(), outlines, strict=True):
        s2_cell: Any = s2sphere.Cell(s2sphere.CellId(cell))
        vertices = np.array([[*s2_cell.get_vertex(k)] for k in range(4)])
        corners = outline[::4]
        shifts = [np.abs(np.roll(corners, shift, axis=0) - vertices).max() for shift in range(4)]
        assert min(shifts) < 1e-12, "the same corners, anticlockwise"
        normals = np.cross(corners, np.roll(corners, -1, axis=0))
        off_edge = np.einsum("ed,epd->ep", normals, outline.reshape(4, 4, 3))
        assert np.abs(off_edge).max() < 1e-12 * np.abs(normals).max() + 1e-15
