import math

import numpy as np
import pytest
import s2sphere

from geosurge_jax.geo import build_partition, grow_overlapping_sets, sets_from_arrays
from geosurge_jax.geo.overlapping import frame_rotations


@pytest.fixture(scope="module")
def latlng():
    rng = np.random.default_rng(0)
    return np.stack([rng.uniform(-70, 70, 3000), rng.uniform(-180, 179, 3000)], axis=1)


@pytest.fixture(scope="module")
def sets(latlng):
    return grow_overlapping_sets(latlng, (150, 150, 90), min_images=20, min_level=1, seed=3)


def test_the_first_set_is_the_plain_partition(latlng, sets):
    plain = build_partition(latlng, 150, 20, min_level=1)
    np.testing.assert_array_equal(sets.partitions[0].ids, plain.ids)
    np.testing.assert_array_equal(sets.assign(latlng)[:, 0], plain.assign(latlng))


def test_a_cell_of_a_turned_set_is_the_s2_cell_of_the_turned_point(latlng, sets):
    cells = sets.assign(latlng[:50])
    for number in (1, 2):
        for (latitude, longitude), cell in zip(latlng[:50], cells[:, number], strict=True):
            a, b = math.radians(latitude), math.radians(longitude)
            point = (math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a))
            x, y, z = (float(np.dot(row, point)) for row in sets.rotations[number])
            leaf = s2sphere.CellId.from_point(s2sphere.Point(x, y, z))
            holding = [
                row
                for row, each in enumerate(sets.partitions[number].ids)
                if s2sphere.CellId(int(each)).contains(leaf)
            ]
            assert holding == ([cell] if cell >= 0 else [])


def test_rotations_keep_lengths_and_handedness():
    rotations = frame_rotations(4, seed=1)
    for rotation in rotations:
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
    assert np.abs(rotations[1] - rotations[2]).max() > 0.1


def test_intersections_are_the_combinations_that_occur(latlng, sets):
    by_row = {}
    assert sets.assign(latlng).min() == -1, "the case of a photo in a dropped cell has to occur"
    for row, combination in enumerate(map(tuple, sets.assign(latlng).tolist())):
        if min(combination) >= 0:
            by_row.setdefault(combination, []).append(row)
    assert sorted(by_row) == [tuple(row) for row in sets.members.tolist()]
    # Many more, and so smaller, than the classes of any set.
    assert len(by_row) > 3 * max(len(partition) for partition in sets.partitions)
    for cell in (0, len(by_row) // 2, len(by_row) - 1):
        rows = by_row[tuple(sets.members[cell].tolist())]
        assert sets.counts[cell] == len(rows)
        a, b = np.radians(latlng[rows]).T
        mean = np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)]).sum(axis=1)
        expected = (math.atan2(mean[2], math.hypot(*mean[:2])), math.atan2(mean[1], mean[0]))
        np.testing.assert_allclose(np.radians(sets.latlng[cell]), expected, atol=1e-9)


def test_sparse_intersections_can_be_left_out(latlng, sets):
    fewer = grow_overlapping_sets(
        latlng, (150, 150, 90), min_images=20, min_intersection_images=4, min_level=1, seed=3
    )
    np.testing.assert_array_equal(fewer.members, sets.members[sets.counts >= 4])


def test_arrays_lead_back(sets, latlng):
    again = sets_from_arrays({name: array.copy() for name, array in sets.arrays().items()})
    np.testing.assert_array_equal(again.assign(latlng), sets.assign(latlng))
    np.testing.assert_array_equal(again.latlng, sets.latlng)
    assert all(isinstance(array, np.ndarray) for array in sets.arrays().values())


def test_bad_input_is_refused_in_one_line(latlng, sets):
    with pytest.raises(ValueError, match="max_images is .., expected one value for each set"):
        grow_overlapping_sets(latlng, (), min_images=1)
    with pytest.raises(
        ValueError, match="no intersection of the cells of 2 sets holds 4000 of 3000"
    ):
        grow_overlapping_sets(latlng, (900, 900), min_images=1, min_intersection_images=4000)
    with pytest.raises(ValueError, match="latlng row 0 is .91.0, 0.0."):
        sets.assign(np.array([[91.0, 0.0]]))
    with pytest.raises(ValueError, match=r"rotations is \(2, 3, 3\), expected \(3, 3, 3\)"):
        type(sets)(sets.rotations[:2], sets.partitions, sets.members, sets.counts, sets.latlng)
    with pytest.raises(ValueError, match="members are not rows of cells of sets of"):
        type(sets)(sets.rotations, sets.partitions, sets.members + 1000, sets.counts, sets.latlng)
