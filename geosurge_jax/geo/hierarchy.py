"""Hierarchies: partitions of the same photos from coarse to fine, and which cell lies in which."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from geosurge_jax.geo.partition import Partition, grow_partition, sort_locations
from geosurge_jax.geo.s2 import MAX_LEVEL, leaf_ids, leaf_ranges

# Both ends are GeoSURGE's; the steps between them are the habit of the family (design.md section
# 5).
DEFAULT_MAX_IMAGES = (25000, 10000, 5000, 2000, 1000, 750, 500)
DEFAULT_MIN_IMAGES = 50


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Partitions coarse to fine with the ancestors of the finest cells.

    Attributes:
        partitions: L partitions, coarse to fine.
        ancestors: int32 [K_L, L]: for each finest cell the cell of partition l that contains it, -1
            where none was kept. The last column counts 0, 1, 2, ...

    Raises:
        ValueError: `ancestors` does not fit the partitions.
    """

    partitions: tuple[Partition, ...]
    ancestors: np.ndarray

    def __post_init__(self) -> None:
        if not self.partitions:
            raise ValueError("a hierarchy has no partition, expected at least one")
        expected = _ancestors(self.partitions)
        if self.ancestors.dtype != np.int32 or not np.array_equal(self.ancestors, expected):
            raise ValueError(
                f"hierarchy.ancestors ({self.ancestors.dtype} {self.ancestors.shape}) "
                f"is not the table of its partitions (int32 {expected.shape})"
            )

    def __len__(self) -> int:
        return len(self.partitions)

    @cached_property
    def _lookup(self) -> tuple[np.ndarray, np.ndarray]:
        """Where any level changes cell: one binary search in these edges serves all levels.

        First leaf ids, uint64 [E], and the cells from each of them on, int32 [E, L].
        """
        ranges = [leaf_ranges(partition.ids) for partition in self.partitions]
        edges = np.unique(
            np.concatenate(
                [np.zeros(1, np.uint64)]
                + [edge for first, last in ranges for edge in (first, last + np.uint64(1))]
            )
        )
        cells = [partition.assign_leaf_ids(edges) for partition in self.partitions]
        return edges, np.stack(cells, axis=-1)

    def assign(self, latlng: np.ndarray) -> np.ndarray:
        """Cells that hold the points at each level, int32 [M, L], -1 where none does.

        Args:
            latlng: degrees, [M, 2].

        Raises:
            ValueError: a row is not finite or out of range; names the row and its value.
        """
        edges, cells = self._lookup
        return cells[np.searchsorted(edges, leaf_ids(latlng), side="right") - 1]


def link_partitions(partitions: Sequence[Partition]) -> Hierarchy:
    """Makes a hierarchy of partitions that were built or imported one by one, coarse to fine."""
    return Hierarchy(tuple(partitions), _ancestors(partitions))


def build_hierarchy(
    latlng: np.ndarray,
    max_images: Sequence[int] = DEFAULT_MAX_IMAGES,
    min_images: int = DEFAULT_MIN_IMAGES,
    min_level: int = 2,
    max_level: int = MAX_LEVEL,
    drop: str = "below",
) -> Hierarchy:
    """Grows one partition for each entry of `max_images` and links them.

    Args:
        latlng: photo locations in degrees, [M, 2].
        max_images: the most photos in a cell, coarse to fine, strictly descending.
        min_images: photos below which a cell is dropped, see `drop`.
        min_level: S2 level to start from.
        max_level: S2 level at which splitting ends.
        drop: "below" or "at_or_below", as in `build_partition`.

    Raises:
        ValueError: a bad row, a parameter out of range, or a level without a cell; one line.
    """
    max_images = tuple(max_images)
    if not max_images or any(
        fine >= coarse for coarse, fine in zip(max_images, max_images[1:], strict=False)
    ):
        raise ValueError(f"max_images is {max_images}, expected strictly descending values")
    locations = sort_locations(latlng)
    return link_partitions(
        [
            grow_partition(locations, most, min_images, min_level, max_level, drop)
            for most in max_images
        ]
    )


def _ancestors(partitions: Sequence[Partition]) -> np.ndarray:
    """The ancestor table, int32 [K_L, L]."""
    first, last = leaf_ranges(partitions[-1].ids)
    columns = []
    for partition in partitions:
        # Cells are disjoint, so what holds the first and the last leaf holds all between.
        cell = partition.assign_leaf_ids(first)
        columns.append(np.where(cell == partition.assign_leaf_ids(last), cell, -1))
    return np.stack(columns, axis=-1).astype(np.int32)
