"""A hash of what a photo looks like: near copies differ in few of its 64 bits.

Of a small grey picture the 8 x 8 lowest frequencies of the cosine transform are held against their median
(Zauner 2010, section 3.2.1, with the constant left out of the median).
"""

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


def near_pairs(queries: np.ndarray, hashes: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of hashes that differ in at most so many bits.

    Of `most + 1` bands of bits at least one is equal in such a pair, so only hashes with an equal band are
    compared: exact, and for 4.7 million hashes against some ten thousand a matter of seconds.

    Args:
        queries: uint64 [N].
        hashes: uint64 [M].
        most: differing bits, 0 to 8; each one more makes the comparison some four times as long.

    Returns:
        Indexes into queries and hashes, int64 [P] each, ascending, every pair once.
    """
    if not 0 <= most <= 8:
        raise ValueError(f"{most} differing bits, expected 0 to 8 (--bits)")
    edges = np.linspace(0, 64, most + 2).round().astype(int)
    found = [
        _pairs_of_band(queries, hashes, most, low, high - low)
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[:, 0], pairs[:, 1]


_PAIRS_AT_A_TIME = 4_000_000


def _pairs_of_band(
    queries: np.ndarray, hashes: np.ndarray, most: int, low: int, bits: int
) -> np.ndarray:
    """Pairs int64 [P, 2] that are equal in the bits from `low` on and near in all."""
    mask = np.uint64((1 << bits) - 1)
    band, wanted = (values >> np.uint64(low) & mask for values in (hashes, queries))
    order = np.argsort(band, kind="stable")
    ordered = band[order]
    start = np.searchsorted(ordered, wanted, side="left")
    count = np.searchsorted(ordered, wanted, side="right") - start
    found = [np.empty((0, 2), np.int64)]
    ends = np.cumsum(count)
    first = 0
    while first < len(queries):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + _PAIRS_AT_A_TIME, side="right")))
        counts = count[first:last]
        query = np.repeat(np.arange(first, last), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        candidate = order[np.repeat(start[first:last], counts) + within]
        near = np.bitwise_count(queries[query] ^ hashes[candidate]) <= most
        found.append(np.stack([query[near], candidate[near]], axis=1))
        first = last
    return np.concatenate(found)
