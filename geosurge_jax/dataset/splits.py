"""Which split a photo belongs to: by a hash of its author or place, never by the photo itself.

Photos of one author or one place resemble each other; were they in two splits, a model would be
scored on what it has seen. A hash does not change when photos are added.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from geosurge_jax.geo import leaf_ids, parent_ids

SPLITS = ("train", "validation", "test")

CELL_LEVEL = 10
"""Level of the S2 cells that group photos without author: about 10 km across."""


def group_keys(latlng: np.ndarray, authors: Sequence[str]) -> list[str]:
    """What must not be torn apart: the author, or the S2 cell where no author is known.

    Args:
        latlng: Degrees, float64 [M, 2].
        authors: [M], empty = unknown.
    """
    unknown = np.array([not author for author in authors], bool)
    cells = iter(parent_ids(leaf_ids(latlng[unknown]), CELL_LEVEL).tolist())
    return [f"author {author}" if author else f"cell {next(cells)}" for author in authors]


def check_fractions(fractions: Sequence[float]) -> dict[str, float]:
    """Shares of train, validation and test by name, those of 0 left out.

    Raises:
        ValueError: Not three shares that add up to 1, or no training share.
    """
    valid = len(fractions) == len(SPLITS) and all(0 <= share <= 1 for share in fractions)
    if not valid or abs(sum(fractions) - 1) > 1e-6 or not fractions[0] > 0:
        shown = ", ".join(str(share) for share in fractions)
        raise ValueError(
            f"fractions {shown}: expected three shares for {', '.join(SPLITS)} that add up to 1, "
            "the first above 0 (--fractions)"
        )
    return {name: share for name, share in zip(SPLITS, fractions, strict=True) if share > 0}


def group_digests(keys: Iterable[str]) -> np.ndarray:
    """Numbers that stand for keys of groups and decide their split, uint64 [M]."""
    digests = (hashlib.sha256(key.encode()).digest()[:8] for key in keys)
    return np.fromiter((int.from_bytes(digest, "big") for digest in digests), np.uint64)


def assign_splits(digests: np.ndarray, fractions: Mapping[str, float]) -> np.ndarray:
    """The split of each photo.

    A split that no group falls into (a small folder) takes one from the split with most photos:
    its smallest group, or for train its largest; ties go by digest.

    Args:
        digests: Group of each photo, uint64 [M], from `group_digests`.
        fractions: Share of each split, adding up to 1.

    Returns:
        Index in `fractions`, int64 [M]; photos of one group are together.

    Raises:
        ValueError: There are fewer groups than splits.
    """
    groups, group, sizes = np.unique(digests, return_inverse=True, return_counts=True)
    if len(groups) < len(fractions):
        raise ValueError(
            f"{len(digests)} photos of {len(groups)} authors or places, expected at least "
            f"{len(fractions)} to fill {', '.join(fractions)} without tearing one apart; add "
            "photos or give --fractions 1,0,0"
        )
    ends = np.cumsum(list(fractions.values()))
    split = np.searchsorted(ends, groups / 2.0**64, side="right").clip(max=len(fractions) - 1)
    for empty, name in enumerate(fractions):
        if np.any(split == empty):
            continue
        photos = [
            sizes[split == number].sum() * (np.count_nonzero(split == number) > 1)
            for number in range(len(fractions))
        ]
        members = np.flatnonzero(split == int(np.argmax(photos)))
        by_size = members[np.lexsort((groups[members], sizes[members]))]
        split[by_size[-1 if name == SPLITS[0] else 0]] = empty
    return split[group]
