import numpy as np
import pytest
import s2sphere

from geosurge_jax.geo import planned_hierarchy


def test_as_many_cells_as_asked_for_spread_over_the_sphere():
    hierarchy = planned_hierarchy((1, 6, 100, 5000))
    assert [len(partition) for partition in hierarchy.partitions] == [1, 6, 100, 5000]
    ids = hierarchy.partitions[-1].ids
    cells = [s2sphere.CellId(int(cell)) for cell in ids]
    assert all(cell.is_valid() for cell in cells)
    assert {cell.face() for cell in cells} == set(range(6))
    assert np.all(np.bincount([cell.face() for cell in cells]) > 800)


@pytest.mark.parametrize("cells", [(), (0, 3), (6 * 4**14 + 1,)])
def test_impossible_counts_are_refused(cells):
    with pytest.raises(ValueError, match="planned cells .*expected counts from 1"):
        planned_hierarchy(cells)
