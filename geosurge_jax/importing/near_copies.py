"""Identical and near-identical images are found before splits are made, and stay in one split."""

import csv
import io
import logging
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


_log = logging.getLogger(__name__)


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
        bits: in which perceptual hashes of a group's images differ at most; None = content alone was
            compared.
    """

    group: np.ndarray
    sizes: np.ndarray
    bits: int | None

    @property
    def copied(self) -> np.ndarray:
        """Whether an image has copies, bool `[M]`."""
        return self.sizes[self.group] > 1

    def sentence(self) -> str:
        """Returns how many groups there are, in one line."""
        groups, copied = int((self.sizes > 1).sum()), int(self.copied.sum())
        how = "equal bytes" if self.bits is None else f"at most {self.bits} of 64 bits differ"
        if not groups:
            return f"no identical or near-identical images ({how})"
        return (
            f"{copied:,} images have identical or near-identical copies, in {groups:,} groups ({how}); each "
            f"group stays in one split: see {NEAR_COPIES_FILE}"
        )


def find_copies(images: Fingerprints, bits: int | None) -> CopyGroups:
    """Groups images with equal content, or with perceptual hashes that differ in few bits, transitively.

    Args:
        images: fingerprints of M images.
        bits: in which hashes differ at most, 0 to 8; None = hashes are not compared.

    Raises:
        ValueError: bits out of range.
    """
    count = len(images.content)
    _, content = np.unique(images.content, return_inverse=True)
    contents = count + content
    offset = count + (int(content.max()) + 1 if count else 0)
    first, second = [np.arange(count)], [contents]
    hashes = np.zeros(0, np.uint64)
    if bits is not None:
        # Each hash once: of millions of images many share one, and pairs would be the square of their number.
        hashes, of_image = np.unique(images.perceptual[images.hashed], return_inverse=True)
        near, other = near_pairs(hashes, hashes, bits)
        first += [np.flatnonzero(images.hashed), offset + near]
        second += [offset + of_image, offset + other]
    edges = (np.concatenate(first), np.concatenate(second))
    group = _components(edges, offset + len(hashes))[:count]
    _, group = np.unique(group, return_inverse=True)
    return CopyGroups(group, np.bincount(group), bits)


def split_groups(
    groups: np.ndarray, images: Fingerprints, bits: int, splits: int
) -> tuple[np.ndarray, CopyGroups]:
    """Joins the groups of authors and places that splits must not tear apart with those of copies.

    Small folders of images that resemble each other may fall into fewer groups than there are splits. Then
    only images that are nearer to each other count as copies: the largest number of bits that fills all
    splits.

    Args:
        groups: digest of each image's author or place, uint64 `[M]`.
        images: fingerprints of the same M images.
        bits: in which hashes of copies differ at most, 0 to 8.
        splits: how many splits are to be filled.

    Returns:
        Digest of each image's joined group, uint64 `[M]`, and the groups of copies.

    Raises:
        ValueError: bits out of range.
    """
    for tried in (*range(bits, -1, -1), None):
        copies = find_copies(images, tried)
        merged = merged_groups(groups, copies)
        if len(np.unique(merged)) >= splits:
            break
    if copies.bits != bits:
        _log.warning(
            "at most %d of 64 bits that differ leave too few groups for %d splits, so fewer images count as "
            "near-identical: %s",
            *(bits, splits, copies.sentence()),
        )
    return merged, copies


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
