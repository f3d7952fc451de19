"""Accumulators: merging is the same as collecting at once, and padding never counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosurge_jax import geo
from geosurge_jax.evaluation.errors import LevelAccuracy, PhotoErrors, level_accuracy


def draw(count, seed=0):
    rng = np.random.default_rng(seed)
    index = rng.permutation(count)
    truth, prediction = rng.uniform([-90, -180], [90, 180], (2, count, 2))
    return PhotoErrors(index, truth, prediction)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 20), max_size=2), st.integers(1, 6), st.randoms(use_true_random=False)
)
def test_any_batching_and_order_gives_the_same_photos(cuts, padding, random):
    whole = draw(20)
    pieces = np.split(np.arange(20), sorted(cuts))
    random.shuffle(pieces)
    merged = PhotoErrors.empty()
    for rows in pieces:
        # As the pipeline pads: index -1, mask 0, coordinates that mean nothing.
        index = np.concatenate([whole.index[rows], np.full(padding, -1)])
        mask = np.concatenate([np.ones(len(rows)), np.zeros(padding)]).astype(np.float32)
        truth = np.concatenate([whole.truth[rows], np.full((padding, 2), np.nan)])
        prediction = np.concatenate([whole.prediction[rows], np.full((padding, 2), 999.0)])
        merged = merged.merge(PhotoErrors.from_batch(index, mask, truth, prediction))
    assert len(merged) == 20
    ordered, expected = merged.in_order(), whole.in_order()
    np.testing.assert_array_equal(ordered.index, np.arange(20))
    np.testing.assert_array_equal(ordered.truth, expected.truth)
    np.testing.assert_array_equal(ordered.prediction, expected.prediction)


def test_batches_of_float32_become_float64():
    batch = PhotoErrors.from_batch(
        np.array([3], np.int32),
        np.ones(1),
        np.ones((1, 2), np.float32),
        np.ones((1, 2), np.float32),
    )
    assert batch.index.dtype == np.int64
    assert batch.truth.dtype == batch.prediction.dtype == np.float64


def test_a_photo_that_counts_twice_is_an_error():
    one = draw(5)
    with pytest.raises(ValueError, match="photo 0 is counted twice"):
        one.merge(one)
    with pytest.raises(ValueError, match="photo 7 is counted twice"):
        PhotoErrors(np.array([1, 7, 7]), np.zeros((3, 2)), np.zeros((3, 2)))


@pytest.mark.parametrize("value", [np.nan, np.inf, 181.0])
def test_bad_coordinates_are_named(value):
    good, bad = np.zeros((2, 2)), np.array([[0.0, 0.0], [0.0, value]])
    with pytest.raises(ValueError, match=f"prediction of photos: .*row 1 is .*{value}"):
        PhotoErrors(np.arange(2), good, bad)
    with pytest.raises(ValueError, match="truth of photos"):
        PhotoErrors(np.arange(2), bad, good)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"2 photos have truth \(3, 2\)"):
        PhotoErrors(np.arange(2), np.zeros((3, 2)), np.zeros((2, 2)))


def test_distance_goes_by_the_protocol():
    errors = PhotoErrors(np.arange(1), np.array([[0.0, 0.0]]), np.array([[0.0, 90.0]]))
    for name, radius in (
        ("sphere_6371", 6371.0),
        ("sphere_6378_137", 6378.137),
        ("wgs84", 6378.137),
    ):
        km = errors.distance_km(geo.DISTANCE_PROTOCOLS[name])
        np.testing.assert_allclose(km, [radius * np.pi / 2])


def test_level_accuracy_counts_photos_with_a_cell_alone():
    places = np.array([[10.0, 10.0], [50.0, 60.0], [-30.0, 140.0]])
    fine = geo.build_partition(np.repeat(places, [30, 30, 3], axis=0), 40, 5, min_level=8)
    coarse = geo.build_partition(np.repeat(places, [30, 30, 3], axis=0), 40, 1, min_level=3)
    hierarchy = geo.link_partitions([coarse, fine])
    near = places[0] - [0.0, 1.5]  # another fine cell, which was not kept; the same coarse cell
    truth = places[[0, 1, 2, 0]]
    prediction = np.stack([places[0], places[0], places[2], near])
    accuracy = level_accuracy(PhotoErrors(np.arange(4), truth, prediction), hierarchy)
    assert coarse.assign(near[None]) == coarse.assign(places[:1]) and fine.assign(near[None]) == -1
    assert accuracy == LevelAccuracy(correct=(3.0, 1.0), weight=(4.0, 3.0))
    assert accuracy.shares == (0.75, 1 / 3)


def test_level_accuracies_add_up():
    one, two = LevelAccuracy((1.0, 0.0), (2.0, 0.0)), LevelAccuracy((3.0, 1.0), (4.0, 0.0))
    assert one.merge(two) == LevelAccuracy((4.0, 1.0), (6.0, 0.0))
    assert np.isnan(one.shares[1])
    with pytest.raises(ValueError):
        one.merge(LevelAccuracy((1.0,), (1.0,)))
