"""Identical and near-identical images are found before splits are made, and stay in one split."""

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geosurge_jax.importing.perceptual_hash import near_pairs
from geosurge_jax.untrusted_text import csv_cell

NEAR_COPIES_FILE = "near-copies.csv"
DEFAULT_BITS = 4
"""Bits of 64 in which the perceptual hashes of near copies differ at most."""


@dataclass(frozen=True)
class Fingerprints:
    """What identifies M images.

    Attributes:
        content: digest of each encoded file, uint64 `[M]`.
        perceptual: perceptual hash of each image, uint64 `[M]`.
        hashed: bool `[M]`, whether an image has a perceptual hash; flat images have none.
    """

    content: np.ndarray
    perceptual: np.ndarray
    hashed: np.ndarray


@dataclass(frozen=True)
class CopyGroups:
    """Images that are copies of one another.

    Attributes:
        group: number of each image's group, int64 `[M]`; an image without copies is a group of its own.
        sizes: how many images each group has, int64.
    """

    group: np.ndarray
    sizes: np.ndarray

    @property
    def copied(self) -> np.ndarray:
        """Whether an image has copies, bool `[M]`."""
        return self.sizes[self.group] > 1

    def sentence(self, bits: int) -> str:
        """Returns how many groups there are, in one line."""
        groups = int((self.sizes > 1).sum())
        if not groups:
            return f"no identical or near-identical images ({bits} of 64 bits)"
        copied = int(self.copied.sum())
        return (
            f"{copied:,} images have identical or near-identical copies, in {groups:,} groups "
            f"(at most {bits} of 64 bits differ); each group stays in one split: see {NEAR_COPIES_FILE}"
        )


def find_copies(images: Fingerprints, bits: int) -> CopyGroups:
    """Groups images with equal content, or with perceptual hashes that differ in few bits, transitively.

    Args:
        images: fingerprints of M images.
        bits: in which hashes differ at most, 0 to 8.

    Raises:
        ValueError: bits out of range.
    """
    count = len(images.content)
    _, content = np.unique(images.content, return_inverse=True)
    # Each hash once: of millions of images many share one, and pairs would be the square of their number.
    hashes, of_image = np.unique(images.perceptual[images.hashed], return_inverse=True)
    first, second = near_pairs(hashes, hashes, bits)
    contents = count + content
    offset = count + (int(content.max()) + 1 if count else 0)
    edges = (
        np.concatenate([np.arange(count), np.flatnonzero(images.hashed), offset + first]),
        np.concatenate([contents, offset + of_image, offset + second]),
    )
    group = _components(edges, offset + len(hashes))[:count]
    _, group = np.unique(group, return_inverse=True)
    return CopyGroups(group, np.bincount(group))


def merged_groups(groups: np.ndarray, copies: CopyGroups) -> np.ndarray:
    """Joins the groups of authors and places whose images are copies of one another.

    Args:
        groups: digest of each image's author or place, uint64 `[M]`.
        copies: groups of the same M images.

    Returns:
        The least digest of all groups that are joined to an image's, uint64 `[M]`.
    """
    digests, author = np.unique(groups, return_inverse=True)
    edges = (author, len(digests) + copies.group)
    joined = _components(edges, len(digests) + len(copies.sizes))[: len(digests)]
    _, joined = np.unique(joined, return_inverse=True)
    least = np.full(joined.max(initial=-1) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, joined, digests)
    return least[joined[author]]


def near_copies_csv(ids: Sequence[str], copies: CopyGroups) -> bytes:
    """Returns a CSV file with a row for each image that has copies: its group and its id."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("group", "id"))
    members: dict[int, list[str]] = defaultdict(list)
    for at in np.flatnonzero(copies.copied).tolist():
        members[int(copies.group[at])].append(ids[at])
    for number, group in enumerate(sorted(sorted(group) for group in members.values())):
        writer.writerows((number, csv_cell(one)) for one in group)
    return text.getvalue().encode()


def _components(edges: tuple[np.ndarray, np.ndarray], nodes: int) -> np.ndarray:
    """The number of the connected component of each node, int32."""
    graph = coo_array((np.ones(len(edges[0]), np.float32), edges), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1]
