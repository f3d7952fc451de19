"""A hash of what a photo looks like: near copies differ in few of its 64 bits.

Of a small grey picture the 8 x 8 lowest frequencies of the cosine transform are held against their median
(Zauner 2010, section 3.2.1, with the constant left out of the median).
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from PIL import Image

SIDE, KEPT = 32, 8
# Standard deviation of grey below which a picture is too flat to have a hash.
_FLAT = 4.0

_K, _N = np.arange(KEPT)[:, None], np.arange(SIDE)[None]
_COSINES = np.cos(np.pi * _K * (2 * _N + 1) / (2 * SIDE))


def perceptual_hash(pixels: np.ndarray) -> int | None:
    """64 bits of `pixels uint8 [H, W, 3]`; None where there is next to nothing to see."""
    grey = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    small = np.asarray(grey, np.float64)
    if small.std() < _FLAT:
        return None
    lowest = (_COSINES @ small @ _COSINES.T).ravel()
    bits = lowest > np.median(lowest[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


# Lowest bit of each band, and the end. The widest one holds the transform's constant, which says little.
_EDGES = (0, 21, 42, 64)
_MOST = 8
_PAIRS_AT_A_TIME = 2_000_000


def near_pairs(queries: np.ndarray, hashes: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of hashes that differ in at most so many bits.

    In one of three bands of bits such a pair differs in at most a third of them, so each band of a query is
    looked up with all such changes, and what is found is compared as a whole (multi-index hashing: Norouzi,
    Punjani and Fleet, CVPR 2012, section 3). Exact, and for 4.7 million hashes against some ten thousand a
    matter of seconds.

    Args:
        queries: uint64 [N].
        hashes: uint64 [M].
        most: differing bits, 0 to 8.

    Returns:
        Indexes into queries and hashes, int64 [P] each, ascending, every pair once.
    """
    if not 0 <= most <= _MOST:
        raise ValueError(f"{most} differing bits, expected 0 to {_MOST} (--bits)")
    bands = zip(_EDGES[:-1], _EDGES[1:], strict=True)
    found = [
        near for low, end in bands for near in _near_in_band(queries, hashes, most, low, end - low)
    ]
    # A pair as one number: of millions of those a sort takes a tenth of the time.
    pairs = np.unique(np.concatenate([np.empty(0, np.int64), *found]))
    query, index = np.divmod(pairs, max(len(hashes), 1))
    return query, index


def _near_in_band(
    queries: np.ndarray, hashes: np.ndarray, most: int, low: int, bits: int
) -> Iterator[np.ndarray]:
    """Pairs, int64 query * M + index, near in all and in the bits from `low` on by a third of `most`."""
    mask = np.uint64((1 << bits) - 1)
    band, wanted = (values >> np.uint64(low) & mask for values in (hashes, queries))
    # Band and index in one number, whose sort is several times as quick as an argsort.
    keyed = np.sort(band << np.uint64(32) | np.arange(len(hashes), dtype=np.uint64))
    order = (keyed & np.uint64(0xFFFFFFFF)).astype(np.int64)
    ordered = hashes[order]
    starts = np.concatenate(
        [[0], np.cumsum(np.bincount(band.astype(np.int64), minlength=1 << bits))]
    )
    changes = _changes(bits, most // (len(_EDGES) - 1))
    step = max(1, _PAIRS_AT_A_TIME // len(changes))
    for first in range(0, len(queries), step):
        probed = (wanted[first : first + step, None] ^ changes[None]).ravel()
        start = starts[probed]
        count = starts[probed + np.uint64(1)] - start
        probe = np.flatnonzero(count)
        ends = np.cumsum(count[probe])
        cuts = np.arange(_PAIRS_AT_A_TIME, ends[-1] if len(ends) else 0, _PAIRS_AT_A_TIME)
        for part in np.split(probe, np.searchsorted(ends, cuts)):
            counts = count[part]
            query = np.repeat(first + part // len(changes), counts)
            shift = np.repeat(start[part] - np.cumsum(counts) + counts, counts)
            place = shift + np.arange(len(shift))
            near = np.bitwise_count(queries[query] ^ ordered[place]) <= most
            yield query[near] * len(hashes) + order[place[near]]


def _changes(bits: int, most: int) -> np.ndarray:
    """All numbers of so many bits of which at most so many are set, uint64."""
    chosen = (set_bits for n in range(most + 1) for set_bits in combinations(range(bits), n))
    return np.array([sum(1 << bit for bit in set_bits) for set_bits in chosen], np.uint64)
