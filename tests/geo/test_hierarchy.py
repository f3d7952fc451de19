"""Hierarchies: each level is its partition, and ancestors are what s2sphere says contains a
cell."""

import numpy as np
import pytest
import s2sphere
from hypothesis import given, settings
from hypothesis import strategies as st

from geosurge_jax import geo


def clustered(count, seed=0):
    rng = np.random.default_rng(seed)
    places = rng.uniform([-60, -180], [70, 180], (8, 2))
    spread = 10.0 ** rng.uniform(-2, 1, 8)
    choice = rng.integers(0, 8, count)
    latlng = places[choice] + rng.normal(size=(count, 2)) * spread[choice, None]
    return np.stack([np.clip(latlng[:, 0], -90, 90), (latlng[:, 1] + 180) % 360 - 180], axis=-1)


def oracle_ancestors(partitions):
    finest = [s2sphere.CellId(int(cell)) for cell in partitions[-1].ids]
    table = np.full((len(finest), len(partitions)), -1)
    for level, partition in enumerate(partitions):
        for index, cell in enumerate(partition.ids):
            for row, fine in enumerate(finest):
                if s2sphere.CellId(int(cell)).contains(fine):
                    table[row, level] = index
    return table


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_levels_are_partitions_and_ancestors_contain(seed, min_images):
    latlng = clustered(600, seed)
    hierarchy = geo.build_hierarchy(latlng, (200, 60, 15), min_images)
    assert len(hierarchy) == 3
    for max_images, partition in zip((200, 60, 15), hierarchy.partitions, strict=True):
        alone = geo.build_partition(latlng, max_images, min_images)
        assert partition.ids.tobytes() == alone.ids.tobytes()
        assert partition.latlng.tobytes() == alone.latlng.tobytes()
    assert hierarchy.ancestors.dtype == np.int32
    np.testing.assert_array_equal(hierarchy.ancestors, oracle_ancestors(hierarchy.partitions))
    elsewhere = np.random.default_rng(seed).uniform([-90, -180], [90, 180], (300, 2))
    for points in (latlng, elsewhere, latlng[:0]):
        cells = hierarchy.assign(points)
        assert cells.dtype == np.int32 and cells.shape == (len(points), 3)
        for level, partition in enumerate(hierarchy.partitions):
            np.testing.assert_array_equal(cells[:, level], partition.assign(points))


def test_a_fine_cell_without_kept_ancestor_has_minus_one():
    dense, sparse = np.repeat([[10.0, 10.0]], 50, axis=0), np.repeat([[-40.0, 100.0]], 8, axis=0)
    coarse = geo.build_partition(np.concatenate([dense, sparse]), 60, min_images=20)
    fine = geo.build_partition(np.concatenate([dense, sparse]), 10, min_images=5)
    hierarchy = geo.link_partitions([coarse, fine])
    of_sparse = fine.assign(sparse[:1])[0]
    assert hierarchy.ancestors[of_sparse].tolist() == [-1, of_sparse]
    of_dense = fine.assign(dense[:1])[0]
    assert hierarchy.ancestors[of_dense].tolist() == [0, of_dense]


def test_a_coarser_cell_below_is_nobody_s_child():
    """Partitions that do not nest: the "coarse" cell lies within the fine one and does not contain
    it."""
    latlng = np.repeat([[10.0, 10.0]], 5, axis=0)
    deep, shallow = (geo.build_partition(latlng, 9, 1, min_level=level) for level in (9, 3))
    assert geo.link_partitions([deep, shallow]).ancestors.tolist() == [[-1, 0]]


def test_a_cell_that_holds_the_first_leaf_of_another_alone_is_no_ancestor():
    shallow = geo.parent_ids(geo.leaf_ids(np.array([[10.0, 10.0]])), 3)
    deep = geo.parent_ids(geo.leaf_ranges(shallow)[0], 9)
    count, latlng = np.ones(1, np.int64), np.zeros((1, 2))
    partitions = [geo.Partition(ids, count, latlng) for ids in (deep, shallow)]
    assert geo.link_partitions(partitions).ancestors.tolist() == [[-1, 0]]


def test_the_end_of_the_curve_is_no_special_place():
    """The last leaf of face 5 ends the range of ids; the point after it does not exist."""
    last_leaf = np.array([0xBFFFFFFFFFFFFFFF], np.uint64)
    latlng = np.repeat(geo.cell_centers(last_leaf), 4, axis=0)
    hierarchy = geo.build_hierarchy(latlng, (4, 2), 1)
    assert hierarchy.assign(latlng).tolist() == [[0, 0]] * 4
    assert hierarchy.assign(np.array([[0.0, 0.0]])).tolist() == [[-1, -1]]


@pytest.mark.parametrize("max_images", [(), (10, 10), (5, 10)])
def test_max_images_must_descend(max_images):
    with pytest.raises(ValueError, match="max_images is .* expected strictly descending"):
        geo.build_hierarchy(np.zeros((20, 2)), max_images, 1)


def test_a_wrong_ancestor_table_is_refused():
    partition = geo.build_partition(np.zeros((5, 2)), 10, 1)
    with pytest.raises(ValueError, match="ancestors"):
        geo.Hierarchy((partition,), np.ones((1, 1), np.int32))
    with pytest.raises(ValueError, match="no partition"):
        geo.Hierarchy((), np.ones((1, 1), np.int32))


def test_defaults_are_seven_levels_from_25000_to_500():
    assert geo.DEFAULT_MAX_IMAGES == (25000, 10000, 5000, 2000, 1000, 750, 500)
    hierarchy = geo.build_hierarchy(np.repeat([[10.0, 10.0], [50.0, 60.0]], [49, 50], axis=0))
    assert [len(partition) for partition in hierarchy.partitions] == [1] * 7
