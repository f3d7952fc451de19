"""Which record of which chunk stands where in which shard: a function of the chunks' indexes alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from geosurge_jax.dataset.shards import shard_file
from geosurge_jax.dataset.splits import assign_splits
from geosurge_jax.importing.chunks import ChunkIndex, read_index
from geosurge_jax.importing.image_checks import placeholders
from geosurge_jax.importing.near_copies import (
    CopyGroups,
    Fingerprints,
    split_groups,
)
from geosurge_jax.importing.row_values import Rejection


@dataclass(frozen=True)
class ShardPlan:
    """A shard to be written.

    Attributes:
        file: Its name.
        units: Whose chunks hold its records.
        unit: Index in `units` of each record, in the order of the shard, int32 [M].
        offset: Of each record in its chunk, int64 [M].
        size: Bytes of each record, int64 [M].
    """

    file: str
    units: tuple[str, ...]
    unit: np.ndarray
    offset: np.ndarray
    size: np.ndarray


@dataclass(frozen=True)
class Chosen:
    """The photos that count, N of them.

    Attributes:
        index: What is known of them.
        unit: Index in `units` of each, int32 [N].
        units: Names of all units, in the archive's order.
        keys: Of the ids of all photos that arrived whole, uint64.
        rejections: Photos of which another one counts, or which are none.
    """

    index: ChunkIndex
    unit: np.ndarray
    units: tuple[str, ...]
    keys: np.ndarray
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before shards are written.

    Attributes:
        shards: Of each split, in record order.
        latlng: Of each split, degrees, float64 [M, 2], in record order.
        copies: Identical and near-identical photos, which are in one split, of all that were chosen.
    """

    shards: Mapping[str, tuple[ShardPlan, ...]]
    latlng: Mapping[str, np.ndarray]
    copies: CopyGroups


def choose_photos(chunks: Path, units: Sequence[str]) -> Chosen:
    """Goes through the indexes of all chunks.

    Of photos of the same id the one with the fewest folders around it counts, of these the first in the
    order of the units; of photos with the same bytes under many names none.

    Args:
        chunks: Directory of the chunks, all of them whole.
        units: Names of the units, in the archive's order.
    """
    index, unit = _joined([read_index(chunks, name) for name in units])
    keys, rejections = index.key, []
    for choose in (_first_of_each_id, _no_placeholders):
        keep, reason = choose(index)
        rejections += [
            Rejection(0, index.identity[at].decode(), units[int(unit[at])], reason(at))
            for at in np.flatnonzero(~keep).tolist()
        ]
        index, unit = index.taken(keep), unit[keep]
    return Chosen(index, unit, tuple(units), np.unique(keys), tuple(rejections))


def make_plan(
    chosen: Chosen,
    name: str,
    fractions: Mapping[str, float],
    shard_bytes: int,
    near_copy_bits: int,
) -> Plan:
    """Plans the shards of all splits.

    Photos stand in the order of their shuffled places; a split is cut into the fewest shards of at most about
    `shard_bytes`.

    Args:
        chosen: At least one photo.
        name: Of the dataset.
        fractions: Share of each split.
        shard_bytes: Of a shard.
        near_copy_bits: Bits in which the perceptual hashes of near copies differ at most.

    Raises:
        ValueError: Too few groups of photos for the splits.
    """
    index = chosen.index
    images = Fingerprints(index.content, index.perceptual, index.hashed)
    groups, copies = split_groups(index.group, images, near_copy_bits, len(fractions))
    split = assign_splits(groups, fractions)
    place = np.lexsort((index.identity, index.order))
    shards, latlng = {}, {}
    for number, split_name in enumerate(fractions):
        members = place[split[place] == number]
        latlng[split_name] = index.latlng[members]
        ends = np.cumsum(index.size[members])
        count = max(1, -(-int(ends[-1]) // shard_bytes))
        bounds = np.searchsorted(ends, ends[-1] * np.arange(1, count) / count, side="left")
        shards[split_name] = tuple(
            _shard(shard_file(name, split_name, at, count), part, chosen)
            for at, part in enumerate(np.split(members, bounds))
        )
    return Plan(shards, latlng, copies)


def _joined(indexes: Sequence[ChunkIndex]) -> tuple[ChunkIndex, np.ndarray]:
    """All entries, and the number of the chunk that each one is of."""
    columns = {
        part.name: np.concatenate([vars(index)[part.name] for index in indexes])
        for part in fields(ChunkIndex)
    }
    unit = np.repeat(np.arange(len(indexes), dtype=np.int32), [len(index) for index in indexes])
    return ChunkIndex(**columns), unit


# Which entries stay, and why the entry at an index does not.
_Choice = tuple[np.ndarray, Callable[[int], str]]


def _first_of_each_id(index: ChunkIndex) -> _Choice:
    """Entries stand in the order of the archive but for those of one unit, of which any may be the first."""
    keep = np.zeros(len(index), bool)
    # A photo whose whole path the table knows goes before one that has folders around it.
    order = np.argsort(index.outer, kind="stable")
    keep[order[np.unique(index.key[order], return_index=True)[1]]] = True
    return keep, lambda at: "duplicate id: the archive has another photo of this name"


def _no_placeholders(index: ChunkIndex) -> _Choice:
    copies = placeholders(index.content)
    return copies == 0, lambda at: f"placeholder: {copies[at]} photos have the same bytes"


def _shard(file: str, members: np.ndarray, chosen: Chosen) -> ShardPlan:
    used, of_used = np.unique(chosen.unit[members], return_inverse=True)
    return ShardPlan(
        file,
        tuple(chosen.units[int(number)] for number in used),
        of_used.astype(np.int32),
        chosen.index.offset[members],
        chosen.index.size[members],
    )
