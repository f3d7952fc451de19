"""Overlapping geoclass sets: several partitions of the same photos whose borders cross.

CPlaNet (Seo et al., ECCV 2018) classifies a photo in several coarse partitions at once; the cells that
their borders cut out of one another are far smaller than any class. The paper merges small base cells by
visual and geographic similarity, with other parameters for each set. Here each set is an adaptive S2
partition (`geo.partition`) of the sphere turned by a rotation of its own, which needs no features; that
is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geosurge_jax.geo.partition import Partition, build_partition
from geosurge_jax.geo.s2 import MAX_LEVEL, check_latlng
from geosurge_jax.geo.sphere import latlng_from_unit_vectors, unit_vectors

_PARTITION_FIELDS = ("ids", "counts", "latlng")


@dataclass(frozen=True, eq=False)
class OverlappingSets:
    """Partitions in rotated frames, and the intersections of their cells that photos were found in.

    Attributes:
        rotations: float64 [N, 3, 3]: unit vectors to those of each set's frame.
        partitions: one for each set, in its frame.
        members: int32 [C, N]: for each intersection the cell of each set, rows ascending and distinct.
        counts: photos in each intersection, int64 [C].
        latlng: their spherical mean in degrees, float64 [C, 2].

    Raises:
        ValueError: the arrays do not fit together.
    """

    rotations: np.ndarray
    partitions: tuple[Partition, ...]
    members: np.ndarray
    counts: np.ndarray
    latlng: np.ndarray

    def __post_init__(self) -> None:
        sets, cells = len(self.partitions), len(self.members)
        for name, found, expected in (
            ("rotations", self.rotations.shape, (sets, 3, 3)),
            ("members", self.members.shape, (cells, sets)),
            ("counts", self.counts.shape, (cells,)),
            ("latlng", self.latlng.shape, (cells, 2)),
        ):
            if found != expected:
                raise ValueError(f"overlapping sets: {name} is {found}, expected {expected}")
        most = [len(partition) for partition in self.partitions]
        if not cells or self.members.min() < 0 or np.any(self.members >= np.array(most)[None]):
            raise ValueError(
                f"overlapping sets: members are not rows of cells of sets of {most} cells"
            )

    def assign(self, latlng: np.ndarray) -> np.ndarray:
        """The cell of each set that holds each point, int32 [M, N], -1 where none does.

        Args:
            latlng: degrees, [M, 2].

        Raises:
            ValueError: a row is not finite or out of range; names the row and its value.
        """
        return _assign(self.rotations, self.partitions, latlng)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as named arrays, for a file; `sets_from_arrays` is the way back."""
        named = {
            f"{field}_{number}": getattr(partition, field)
            for number, partition in enumerate(self.partitions)
            for field in _PARTITION_FIELDS
        }
        return {
            **named,
            "rotations": self.rotations,
            "members": self.members,
            "counts": self.counts,
            "latlng": self.latlng,
        }


def sets_from_arrays(arrays: Mapping[str, np.ndarray]) -> OverlappingSets:
    """The inverse of `OverlappingSets.arrays`.

    Raises:
        KeyError: an array is missing.
        ValueError: the arrays do not fit together.
    """
    partitions = tuple(
        Partition(*(arrays[f"{field}_{number}"] for field in _PARTITION_FIELDS))
        for number in range(len(arrays["rotations"]))
    )
    return OverlappingSets(
        rotations=arrays["rotations"],
        partitions=partitions,
        members=arrays["members"],
        counts=arrays["counts"],
        latlng=arrays["latlng"],
    )


def grow_overlapping_sets(
    latlng: np.ndarray,
    max_images: Sequence[int],
    min_images: int,
    min_intersection_images: int = 1,
    min_level: int = 2,
    max_level: int = MAX_LEVEL,
    seed: int = 0,
) -> OverlappingSets:
    """Grows one partition for each entry of `max_images` and intersects them.

    The first set is not turned, so it is the partition that `build_partition` gives.

    Args:
        latlng: photo locations in degrees, [M, 2].
        max_images: the most photos in a cell of each set.
        min_images: cells with fewer photos are dropped.
        min_intersection_images: intersections with fewer photos are dropped.
        min_level: S2 level to start from.
        max_level: S2 level at which splitting ends.
        seed: of the rotations.

    Raises:
        ValueError: a bad row, a parameter out of range, or nothing left; one line.
    """
    if not max_images:
        raise ValueError(f"max_images is {tuple(max_images)}, expected one value for each set")
    latlng = check_latlng(latlng)
    rotations = frame_rotations(len(max_images), seed)
    partitions = tuple(
        build_partition(_turned(rotation, latlng), most, min_images, min_level, max_level)
        for rotation, most in zip(rotations, max_images, strict=True)
    )
    assigned = _assign(rotations, partitions, latlng)
    members, counts, means = _intersections(assigned, latlng, min_intersection_images)
    return OverlappingSets(rotations, partitions, members, counts, means)


def frame_rotations(sets: int, seed: int) -> np.ndarray:
    """Rotations float64 [N, 3, 3]: none for the first set, then uniform on SO(3) (Shoemake 1992)."""
    quaternions = np.random.default_rng(seed).normal(size=(sets, 4))
    # A unit quaternion (w, x, y, z) as a matrix.
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    rotations = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    rotations[0] = np.eye(3)
    return rotations


def _turned(rotation: np.ndarray, latlng: np.ndarray) -> np.ndarray:
    """Degrees [M, 2] in a turned frame; as they are, to the bit, where it is not turned."""
    if np.array_equal(rotation, np.eye(3)):
        return latlng
    return latlng_from_unit_vectors(unit_vectors(latlng) @ rotation.T)


def _assign(
    rotations: np.ndarray, partitions: Sequence[Partition], latlng: np.ndarray
) -> np.ndarray:
    latlng = check_latlng(latlng)
    columns = [
        partition.assign(_turned(rotation, latlng))
        for rotation, partition in zip(rotations, partitions, strict=True)
    ]
    return np.stack(columns, axis=-1)


def _intersections(
    assigned: np.ndarray, latlng: np.ndarray, min_images: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct rows of `assigned [M, N]` without a -1, their photos' number and mean location."""
    whole = (assigned >= 0).all(axis=1)
    members, place, counts = np.unique(
        assigned[whole], axis=0, return_inverse=True, return_counts=True
    )
    kept = counts >= min_images
    if not kept.any():
        raise ValueError(
            f"no intersection of the cells of {assigned.shape[1]} sets holds "
            f"{max(min_images, 1)} of {len(latlng)} photos"
        )
    sums = np.zeros((len(members), 3))
    np.add.at(sums, place.ravel(), unit_vectors(latlng[whole]))
    return members[kept], counts[kept], latlng_from_unit_vectors(sums[kept])
