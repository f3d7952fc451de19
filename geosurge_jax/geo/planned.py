"""A hierarchy of a given size, for planning a run before its photos are at hand."""

from collections.abc import Sequence

import numpy as np

from geosurge_jax.geo.hierarchy import Hierarchy, link_partitions
from geosurge_jax.geo.partition import Partition
from geosurge_jax.geo.s2 import MAX_LEVEL, cell_centers

FACES = 6
# 1.6 billion cells: far above any data set, and positions times counts still fit 64 bits.
FINEST_LEVEL = 14


def planned_hierarchy(cells: Sequence[int]) -> Hierarchy:
    """Cells of one S2 level spread evenly along the curve, as many in each partition as asked for.

    The sizes are those of the planned run; the places are not.

    Args:
        cells: number of cells of each partition, coarse to fine.

    Raises:
        ValueError: no level, or a count below 1 or above what S2 level 14 holds.
    """
    most = FACES * 4**FINEST_LEVEL
    if not cells or min(cells) < 1 or max(cells) > most:
        raise ValueError(f"planned cells {tuple(cells)}: expected counts from 1 to {most:,}")
    return link_partitions([_even_partition(count) for count in cells])


def _even_partition(count: int) -> Partition:
    level = next(level for level in range(FINEST_LEVEL + 1) if FACES * 4**level >= count)
    positions = np.arange(count, dtype=np.uint64) * np.uint64(FACES * 4**level) // np.uint64(count)
    # An S2 id is its position on the curve of its level, a 1, and zeros up to 64 bits.
    ids = (positions * np.uint64(2) + np.uint64(1)) << np.uint64(2 * (MAX_LEVEL - level))
    return Partition(ids, np.ones(count, np.int64), cell_centers(ids))
