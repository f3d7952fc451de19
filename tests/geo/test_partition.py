"""Partitions against a recursive quadtree over s2sphere cells, and properties on any input."""

import numpy as np
import pytest
import s2sphere
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geosurge_jax import geo


def clustered(count, seed=0):
    """Photo-like locations: a few dense places, each with its own spread, and some photos
    anywhere."""
    rng = np.random.default_rng(seed)
    places = rng.uniform([-60, -180], [70, 180], (12, 2))
    spread = 10.0 ** rng.uniform(-3, 1, 12)
    choice = rng.integers(0, 12, count)
    latlng = places[choice] + rng.normal(size=(count, 2)) * spread[choice, None]
    latlng[: count // 10] = rng.uniform([-90, -180], [90, 180], (count // 10, 2))
    return np.stack([np.clip(latlng[:, 0], -90, 90), (latlng[:, 1] + 180) % 360 - 180], axis=-1)


def oracle_partition(latlng, max_images, min_images, min_level, max_level, drop):
    """Cell id -> rows, by recursion over s2sphere cells."""
    leaves = [
        s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(*point))
        for point in latlng.tolist()
    ]
    found = {}

    def visit(rows, level):
        groups = {}
        for row in rows:
            groups.setdefault(leaves[row].parent(level).id(), []).append(row)
        for cell, members in groups.items():
            if len(members) > max_images and level < max_level:
                visit(members, level + 1)
            elif len(members) > min_images or (drop == "below" and len(members) == min_images):
                found[cell] = members

    visit(range(len(latlng)), min_level)
    return dict(sorted(found.items()))


def oracle_mean(latlng):
    phi, theta = np.radians(latlng).T
    x = (
        np.sum(np.cos(phi) * np.cos(theta)),
        np.sum(np.cos(phi) * np.sin(theta)),
        np.sum(np.sin(phi)),
    )
    return np.degrees([np.arctan2(x[2], np.hypot(x[0], x[1])), np.arctan2(x[1], x[0])])


@pytest.mark.parametrize(
    ("max_images", "min_images", "min_level", "max_level", "drop"),
    [
        (100, 5, 2, 30, "below"),
        (100, 5, 2, 30, "at_or_below"),
        (20, 1, 0, 30, "below"),
        (20, 0, 0, 30, "at_or_below"),
        (3, 2, 4, 9, "below"),
    ],
)
def test_partition_is_the_adaptive_quadtree(max_images, min_images, min_level, max_level, drop):
    latlng = clustered(1500)
    partition = geo.build_partition(latlng, max_images, min_images, min_level, max_level, drop)
    oracle = oracle_partition(latlng, max_images, min_images, min_level, max_level, drop)
    assert partition.ids.tolist() == list(oracle)
    assert partition.counts.tolist() == [len(rows) for rows in oracle.values()]
    means = np.array([oracle_mean(latlng[rows]) for rows in oracle.values()])
    assert np.max(geo.great_circle_km(partition.latlng, means)) < 1e-8
    cells = np.full(len(latlng), -1)
    for cell, rows in enumerate(oracle.values()):
        cells[rows] = cell
    np.testing.assert_array_equal(partition.assign(latlng), cells)


def test_the_drop_rules_differ_at_exactly_min_images():
    latlng = np.repeat([[10.0, 10.0], [-20.0, 50.0]], [5, 6], axis=0)
    assert geo.build_partition(latlng, 10, 5, drop="below").counts.tolist() == [5, 6]
    assert geo.build_partition(latlng, 10, 5, drop="at_or_below").counts.tolist() == [6]


def test_a_cell_that_cannot_be_split_stays():
    latlng = np.repeat([[48.8584, 2.2945], [1.0, 1.0]], [40, 3], axis=0)
    partition = geo.build_partition(latlng, max_images=10, min_images=2)
    assert geo.cell_levels(partition.ids).tolist() == [2, 30]
    assert sorted(partition.counts.tolist()) == [3, 40]
    shallow = geo.build_partition(latlng, max_images=10, min_images=2, max_level=4)
    assert geo.cell_levels(shallow.ids).tolist() == [2, 4]


points = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 60), st.just(2)),
    # Few distinct values, so that points share cells and leaves.
    elements=st.one_of(st.floats(-90, 90), st.integers(-3, 3).map(lambda n: n * 30.0)),
)


@settings(max_examples=200, deadline=None)
@given(points, st.integers(1, 12), st.integers(0, 3), st.randoms(use_true_random=False))
def test_properties_of_any_partition(latlng, max_images, min_images, random):
    try:
        partition = geo.build_partition(latlng, max_images, min_images)
    except ValueError as error:
        assert "min_images" in str(error)
        groups = oracle_partition(latlng, max_images, min_images, 2, 30, "below")
        assert not groups
        return
    # Disjoint, in order.
    first, last = geo.leaf_ranges(partition.ids)
    assert np.all(first[1:] > last[:-1])
    # It covers what it kept, and counts add up.
    cells = partition.assign(latlng)
    kept = cells >= 0
    np.testing.assert_array_equal(
        np.bincount(cells[kept], minlength=len(partition)), partition.counts
    )
    leaves = geo.leaf_ids(latlng)
    assert np.all((first[cells[kept]] <= leaves[kept]) & (leaves[kept] <= last[cells[kept]]))
    # Within the limits.
    levels = geo.cell_levels(partition.ids)
    assert np.all((partition.counts <= max_images) | (levels == 30))
    assert np.all(partition.counts >= max(min_images, 1)) and np.all(levels >= 2)
    # Any order of the photos gives the same bits.
    order = list(range(len(latlng)))
    random.shuffle(order)
    again = geo.build_partition(latlng[order], max_images, min_images)
    for array, other in zip(
        (partition.ids, partition.counts, partition.latlng),
        (again.ids, again.counts, again.latlng),
        strict=True,
    ):
        assert array.tobytes() == other.tobytes()


def test_means_lie_in_their_cells_and_do_not_depend_on_the_order():
    latlng = clustered(20_000, seed=1)
    partition = geo.build_partition(latlng, 60, 3)
    np.testing.assert_array_equal(partition.assign(partition.latlng), np.arange(len(partition)))
    shuffled = geo.build_partition(np.random.default_rng(2).permutation(latlng), 60, 3)
    assert shuffled.latlng.tobytes() == partition.latlng.tobytes()


def test_points_outside_all_cells_are_minus_one():
    partition = geo.build_partition(np.repeat([[10.0, 10.0]], 5, axis=0), 10, 1, min_level=8)
    far = np.array([[10.0, 10.0], [-89.0, 0.0], [89.0, 0.0], [0.0, -180.0]])
    cells = partition.assign(far)
    assert cells.dtype == np.int32 and cells.tolist() == [0, -1, -1, -1]
    assert partition.assign(far[:0]).shape == (0,)


def test_float32_locations():
    latlng = clustered(500).astype(np.float32)
    partition = geo.build_partition(latlng, 40, 2)
    same = geo.build_partition(latlng.astype(np.float64), 40, 2)
    assert partition.latlng.dtype == np.float64
    np.testing.assert_array_equal(partition.latlng, same.latlng)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_images": 0}, "max_images is 0"),
        ({"min_images": -1}, "min_images is -1"),
        ({"min_level": 5, "max_level": 4}, "min_level is 5 and max_level is 4"),
        ({"max_level": 31}, "max_level is 31"),
        ({"drop": "under"}, "drop is 'under', expected one of below, at_or_below"),
        ({"min_images": 7}, "no cell of 6 photos holds at least min_images=7"),
        ({"min_images": 6, "drop": "at_or_below"}, "holds more than min_images=6"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    latlng = np.repeat([[10.0, 10.0]], 6, axis=0)
    with pytest.raises(ValueError, match=message):
        geo.build_partition(latlng, **({"max_images": 10, "min_images": 1} | arguments))


def test_bad_locations_are_named():
    with pytest.raises(ValueError, match="no location"):
        geo.build_partition(np.zeros((0, 2)), 10, 1)
    with pytest.raises(ValueError, match="row 2 is"):
        geo.build_partition(np.array([[0.0, 0], [1, 1], [np.nan, 0]]), 10, 1)


def test_partitions_that_make_no_sense_are_refused():
    cells = geo.parent_ids(geo.leaf_ids(np.array([[0.0, 10.0], [0.0, 100.0]])), 4)
    ids, counts, latlng = np.sort(cells), np.ones(2, np.int64), np.zeros((2, 2))
    geo.Partition(ids, counts, latlng)
    with pytest.raises(ValueError, match="cells 0 and 1 .* overlap or are out of S2 order"):
        geo.Partition(ids[::-1].copy(), counts, latlng)
    with pytest.raises(ValueError, match="cells 0 and 1 .* overlap"):
        nested = np.sort(np.append(ids[:1], geo.parent_ids(ids[:1], 3)))
        geo.Partition(nested, counts, latlng)
    with pytest.raises(ValueError, match="partition.ids is int64, expected uint64"):
        geo.Partition(ids.astype(np.int64), counts, latlng)
    with pytest.raises(ValueError, match=r"counts \(1,\)"):
        geo.Partition(ids, counts[:1], latlng)
    with pytest.raises(ValueError, match="no cell"):
        geo.Partition(ids[:0], counts[:0], latlng[:0])
    with pytest.raises(ValueError, match="not an S2 cell id"):
        geo.Partition(ids + np.uint64(2), counts, latlng)
