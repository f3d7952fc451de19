"""Which split a photo belongs to: by a hash of its author or place, never by the photo itself.

Photos of one author or one place resemble each other; were they in two splits, a model would be
scored on what it has seen. A hash does not change when photos are added.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

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
    cells = parent_ids(leaf_ids(latlng), CELL_LEVEL)
    return [
        f"author {author}" if author else f"cell {int(cell)}"
        for author, cell in zip(authors, cells, strict=True)
    ]


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


def assign_splits(keys: Sequence[str], fractions: Mapping[str, float]) -> list[str]:
    """The split of each photo.

    A split that no group falls into (a small folder) takes one from the split with most photos:
    its smallest group, or for train its largest; ties go by hash.

    Args:
        keys: Group of each photo, [M].
        fractions: Share of each split, adding up to 1.

    Returns:
        Names of splits, [M]; photos of one group are together.

    Raises:
        ValueError: There are fewer groups than splits.
    """
    sizes: dict[str, int] = defaultdict(int)
    for key in keys:
        sizes[key] += 1
    if len(sizes) < len(fractions):
        raise ValueError(
            f"{len(keys)} photos of {len(sizes)} authors or places, expected at least "
            f"{len(fractions)} to fill {', '.join(fractions)} without tearing one apart; add "
            "photos or give --fractions 1,0,0"
        )
    hashes = {key: hashlib.sha256(key.encode()).digest() for key in sizes}
    names = list(fractions)
    ends = np.cumsum(list(fractions.values()))
    members: dict[str, list[str]] = {name: [] for name in names}
    for key, digest in hashes.items():
        share = int.from_bytes(digest[:8], "big") / 2**64
        index = min(int(np.searchsorted(ends, share, side="right")), len(names) - 1)
        members[names[index]].append(key)
    for name in names:
        if not members[name]:
            donors = [groups for groups in members.values() if len(groups) > 1]
            donor = max(donors, key=lambda groups: sum(sizes[key] for key in groups))
            donor.sort(key=lambda key: (sizes[key], hashes[key]))
            members[name].append(donor.pop(-1 if name == SPLITS[0] else 0))
    split_of = {key: name for name, groups in members.items() for key in groups}
    return [split_of[key] for key in keys]
