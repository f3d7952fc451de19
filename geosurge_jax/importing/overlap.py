"""What two splits share: ids, authors, near copies, places."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from geosurge_jax.geo import EARTH_RADIUS_KM, unit_vectors
from geosurge_jax.importing.perceptual_hash import near_pairs

LEAKS = ("id", "near copy", "author")
"""Why a photo leaks, the strongest reason first."""


@dataclass(frozen=True)
class Looks:
    """What is compared of a split's records, in record order.

    Attributes:
        ids: `[M]`.
        authors: `[M]`, empty = unknown.
        hashes: uint64 `[M]`.
        hashed: bool `[M]`: whether a photo has a hash; flat and unreadable ones have none.
        latlng: degrees, float64 `[M, 2]`.
    """

    ids: np.ndarray
    authors: np.ndarray
    hashes: np.ndarray
    hashed: np.ndarray
    latlng: np.ndarray


@dataclass(frozen=True)
class Overlap:
    """What a test split shares with a training split.

    Attributes:
        partners: for each of `LEAKS` the index of one training photo of each test photo, -1 for none.
        same_place: bool `[M]`: whether a training photo was taken as near as asked.
    """

    partners: Mapping[str, np.ndarray]
    same_place: np.ndarray

    @property
    def leaks(self) -> np.ndarray:
        """Test photos that leak for any reason, bool `[M]`."""
        return np.any([partner >= 0 for partner in self.partners.values()], axis=0)


def overlap(train: Looks, test: Looks, bits: int, metres: float) -> Overlap:
    """Compares every photo of a test split with all of a training split.

    Args:
        train: M photos.
        test: N photos.
        bits: by which the hashes of near copies differ at most.
        metres: within which two photos are of the same place.

    Raises:
        ValueError: bits or metres out of range.
    """
    partners = {
        "id": same_value(train.ids, test.ids),
        "near copy": near_copy(train, test, bits),
        "author": np.where(test.authors != b"", same_value(train.authors, test.authors), -1),
    }
    return Overlap(partners, same_place(train.latlng, test.latlng, metres))


def same_value(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Index of the first training photo `[M]` with the value of each test photo, int64 `[N]`, -1 for none."""
    known, which = np.unique(test, return_inverse=True)
    place = np.searchsorted(known, train).clip(max=len(known) - 1)
    holders = np.flatnonzero(known[place] == train)
    first = np.full(len(known), -1)
    # Written backwards, so that the first of several stays.
    first[place[holders[::-1]]] = holders[::-1]
    return first[which]


def near_copy(train: Looks, test: Looks, bits: int) -> np.ndarray:
    """Index of the first training photo whose hash is so near each test photo's, int64 `[N]`, -1 for none.

    Raises:
        ValueError: bits out of range.
    """
    of_test, of_train = np.flatnonzero(test.hashed), np.flatnonzero(train.hashed)
    near, partner = near_pairs(test.hashes[of_test], train.hashes[of_train], bits)
    copies = np.full(len(test.ids), -1)
    copies[of_test[near[::-1]]] = of_train[partner[::-1]]
    return copies


def same_place(train: np.ndarray, test: np.ndarray, metres: float) -> np.ndarray:
    """Whether a training photo was taken so near to each test photo, bool `[N]`.

    Args:
        train: degrees, `[M, 2]`.
        test: degrees, `[N, 2]`.
        metres: on the sphere.

    Raises:
        ValueError: metres out of range.
    """
    if not metres > 0:
        raise ValueError(f"{metres} metres, expected above 0 (--metres)")
    chord = 2 * np.sin(metres / 1000 / EARTH_RADIUS_KM / 2)
    # Quick to make rather than to ask: millions of places, of which each tree answers some thousand.
    tree = KDTree(unit_vectors(train), compact_nodes=False, balanced_tree=False)
    distance, _ = tree.query(unit_vectors(test), distance_upper_bound=chord)
    return np.isfinite(distance)
