"""Partitions: S2 cells grown by an adaptive quadtree over photo locations.

PlaNet (Weyand et al. 2016) and ISN (Mueller-Budack et al. 2018) cut the Earth so that each cell
holds a similar number of photos: a cell that holds more than `max_images` is split into its four
children, and what holds fewer than `min_images` at the end is dropped. Here the photos are sorted
along the S2 curve once; a cell is then an interval of the sorted ids, and a whole level is split
with one binary search.
"""

from dataclasses import dataclass

import numpy as np

from geosurge_jax.geo.s2 import (
    MAX_LEVEL,
    cell_levels,
    check_latlng,
    leaf_ids,
    leaf_ranges,
    parent_ids,
)
from geosurge_jax.geo.sphere import latlng_from_unit_vectors, unit_vectors

DROP_RULES = ("below", "at_or_below")


@dataclass(frozen=True, eq=False)
class Partition:
    """Disjoint cells in S2 order: the classes of one level.

    Attributes:
        ids: S2 ids, uint64 [K], ascending.
        counts: photos that the partition was built from, per cell, int64 [K].
        latlng: spherical mean of those photos in degrees, float64 [K, 2].

    Raises:
        ValueError: the arrays do not fit together, an id is no S2 cell, or cells are out of order
            or overlap.
    """

    ids: np.ndarray
    counts: np.ndarray
    latlng: np.ndarray

    def __post_init__(self) -> None:
        for name, dtype in (("ids", np.uint64), ("counts", np.int64), ("latlng", np.float64)):
            found = getattr(self, name).dtype
            if found != dtype:
                raise ValueError(f"partition.{name} is {found}, expected {np.dtype(dtype)}")
        count = len(self.ids)
        if not count:
            raise ValueError("a partition has no cell, expected at least one")
        if self.counts.shape != (count,) or self.latlng.shape != (count, 2):
            raise ValueError(
                f"a partition of {count} ids has counts {self.counts.shape} and latlng "
                f"{self.latlng.shape}, expected ({count},) and ({count}, 2)"
            )
        check_latlng(self.latlng)
        cell_levels(self.ids)
        first, last = leaf_ranges(self.ids)
        wrong = first[1:] <= last[:-1]
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"cells {row} and {row + 1} ({self.ids[row]:#018x}, {self.ids[row + 1]:#018x}) "
                "overlap or are out of S2 order"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def assign(self, latlng: np.ndarray) -> np.ndarray:
        """Cells that hold the points, int32 [M], -1 where none does.

        Args:
            latlng: degrees, [M, 2].

        Raises:
            ValueError: a row is not finite or out of range; names the row and its value.
        """
        return self.assign_leaf_ids(leaf_ids(latlng))

    def assign_leaf_ids(self, leaves: np.ndarray) -> np.ndarray:
        """As `assign`, for points given as S2 leaf ids, uint64 [M]."""
        first, last = leaf_ranges(self.ids)
        cell = np.searchsorted(first, leaves, side="right") - 1
        # Before the first cell this compares with the last one, and the result is -1 either way.
        return np.where(leaves <= last[cell], cell, -1).astype(np.int32)


@dataclass(frozen=True, eq=False)
class SortedLocations:
    """Photo locations along the S2 curve: what partitions are grown from.

    Attributes:
        leaves: S2 leaf ids, uint64 [M], ascending.
        latlng: degrees, float64 [M, 2], in the same order (any order among equal leaves).
    """

    leaves: np.ndarray
    latlng: np.ndarray


def sort_locations(latlng: np.ndarray) -> SortedLocations:
    """Sorts locations, degrees [M, 2], along the S2 curve.

    Raises:
        ValueError: there is no row, or a row is not finite or out of range; names the row and its
            value.
    """
    latlng = check_latlng(latlng)
    if not len(latlng):
        raise ValueError("latlng holds no location: there is nothing to partition")
    leaves = leaf_ids(latlng)
    order = np.argsort(leaves)
    return SortedLocations(leaves[order], latlng[order])


def build_partition(
    latlng: np.ndarray,
    max_images: int,
    min_images: int,
    min_level: int = 2,
    max_level: int = MAX_LEVEL,
    drop: str = "below",
) -> Partition:
    """Grows a partition: split while a cell holds more than `max_images`, then drop sparse cells.

    The result does not depend on the order of the rows, to the last bit.

    Args:
        latlng: photo locations in degrees, [M, 2].
        max_images: a cell with more photos is split, unless it is at `max_level`: there it stays.
        min_images: see `drop`.
        min_level: S2 level to start from.
        max_level: S2 level at which splitting ends.
        drop: "below" drops cells with fewer than `min_images` photos; "at_or_below" also drops
            those with exactly `min_images`, as the public ISN code does.

    Raises:
        ValueError: a bad row, a parameter out of range, or no cell left; one line.
    """
    return grow_partition(
        sort_locations(latlng), max_images, min_images, min_level, max_level, drop
    )


def grow_partition(
    locations: SortedLocations,
    max_images: int,
    min_images: int,
    min_level: int,
    max_level: int,
    drop: str,
) -> Partition:
    """As `build_partition`, for locations that are sorted already."""
    _check_parameters(max_images, min_images, min_level, max_level, drop)
    ids, start, end = _split(locations.leaves, max_images, min_level, max_level)
    counts = end - start
    kept = counts >= min_images if drop == "below" else counts > min_images
    if not kept.any():
        comparison = "at least" if drop == "below" else "more than"
        raise ValueError(
            f"no cell of {len(locations.leaves)} photos holds {comparison} min_images={min_images} "
            f"(max_images={max_images}): the fullest of {len(ids)} cells holds {counts.max()}"
        )
    ids, start, end = ids[kept], start[kept], end[kept]
    order = np.argsort(ids)
    ids, start, end = ids[order], start[order], end[order]
    return Partition(ids, end - start, _mean_latlng(locations.latlng, start, end))


def _check_parameters(
    max_images: int, min_images: int, min_level: int, max_level: int, drop: str
) -> None:
    if max_images < 1:
        raise ValueError(f"max_images is {max_images}, expected at least 1")
    if min_images < 0:
        raise ValueError(f"min_images is {min_images}, expected at least 0")
    if not 0 <= min_level <= max_level <= MAX_LEVEL:
        raise ValueError(
            f"min_level is {min_level} and max_level is {max_level}, "
            f"expected 0 <= min_level <= max_level <= {MAX_LEVEL}"
        )
    if drop not in DROP_RULES:
        raise ValueError(f"drop is {drop!r}, expected one of {', '.join(DROP_RULES)}")


def _split(
    leaves: np.ndarray, max_images: int, min_level: int, max_level: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grows the tree over sorted leaf ids.

    Returns:
        The cells at which it ends and which hold a photo, and their intervals [start, end) of
        `leaves`.
    """
    parents = parent_ids(leaves, min_level)
    start = np.flatnonzero(np.concatenate([[True], parents[1:] != parents[:-1]]))
    cells, end = parents[start], np.append(start[1:], len(leaves))
    finished = []
    for level in range(min_level, max_level + 1):
        splits = (end - start > max_images) & (level < max_level)
        finished.append((cells[~splits], start[~splits], end[~splits]))
        if not splits.any():
            break
        cells, start, end = _children(leaves, cells[splits], end[splits], level)
    ids, start, end = (np.concatenate(part) for part in zip(*finished, strict=True))
    return ids, start, end


def _children(
    leaves: np.ndarray, cells: np.ndarray, end: np.ndarray, level: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The non-empty children of cells at `level`: ids and intervals [start, end) of `leaves`."""
    marker = np.uint64(1 << (2 * (MAX_LEVEL - level - 1)))
    first, _ = leaf_ranges(cells)
    # The four children lie side by side, two markers of the child level apart.
    steps = np.arange(4, dtype=np.uint64) * (marker + marker)
    child_first = first[:, None] + steps
    child_start = np.searchsorted(leaves, child_first)
    child_end = np.concatenate([child_start[:, 1:], end[:, None]], axis=1)
    held = child_end > child_start
    return (child_first - np.uint64(1) + marker)[held], child_start[held], child_end[held]


def _mean_latlng(latlng: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Spherical means, float64 [K, 2], of the rows [start, end) of `latlng`, whatever their order.

    Floating-point sums depend on the order of the summands, so unit vectors are summed as integers:
    with as many fractional bits as keep the fullest cell from overflowing, never finer than 2^-44
    (0.4 um on the Earth).
    """
    fullest = int(np.max(end - start))
    scale = float(1 << min(44, 62 - fullest.bit_length()))
    edges = np.stack([start, end], axis=1).ravel()
    vectors = np.rint(unit_vectors(latlng) * scale).astype(np.int64)
    # A row of zeros at the end lets an interval end where the photos do; every second sum is a gap
    # between cells.
    vectors = np.concatenate([vectors, np.zeros((1, 3), np.int64)])
    sums = np.add.reduceat(vectors, edges, axis=0)[::2]
    return latlng_from_unit_vectors(sums.astype(np.float64))
