"""What an audit costs beside reading the photos: MP-16's size against YFCC26k's, with leaks that are known.

    python -m benchmarks.audit [--train 4700000] [--test 26000] [--bits 4 8] [--out FILE.json]

Hashes are 64 random bits, ids and authors as Flickr's are, places those of `benchmarks.geocells`. Of the test
photos a tenth each share their id, their author or their place (half within, half beyond the distance) with
a training photo, and a tenth have a hash that differs from a training photo's in 0, 1, 2, ... up to two bits
more than are looked for. All that are near enough must be found, and nothing that is not, or the script
fails. Some hashes are near by chance: of 26,000 against 4.7 million 0.005 are expected at 4 bits, 34 at 8.
Memory is what the process holds at its peak beyond what it held before (Linux).
"""

import argparse
import json
import os
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.geocells import draw_locations
from geosurge_jax.geo import EARTH_RADIUS_KM, atomic_file
from geosurge_jax.importing.overlap import Looks, near_copy, same_place, same_value

_METRES = 25.0
_SHARE = 10
_BEYOND = 2


def drawn_looks(count: int, seed: int) -> Looks:
    """So many photos that share nothing with those of another seed but some places."""
    rng = np.random.default_rng(seed)
    # Ten digits as text, of a range that no other seed has.
    ids = (seed * 1_000_000_000 + rng.permutation(count)).astype("S10")
    authors = (seed * 1_000_000_000 + rng.zipf(1.5, count) % 200_000).astype("S10")
    authors[rng.random(count) < 0.05] = b""
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    return Looks(ids, authors, hashes, np.ones(count, bool), draw_locations(count, seed))


def plant(train: Looks, test: Looks, most: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Lets test photos share something with training photos, in place.

    Returns:
        The test photos that share their id, author and place, by name; and of each test photo the bits by
        which it differs from a training photo, -1 for those without one.
    """
    rng = np.random.default_rng(2)
    groups = np.array_split(rng.permutation(len(test.ids))[: 4 * len(test.ids) // _SHARE], 4)
    partners = [rng.choice(len(train.ids), len(group)) for group in groups]
    test.ids[groups[0]] = train.ids[partners[0]]
    test.authors[groups[1]] = train.authors[partners[1]]
    # Latitude alone, on the meridian of the training photo, away from the poles.
    degrees = np.degrees(_METRES / 1000 / EARTH_RADIUS_KM) * rng.choice([0.9, 1.1], len(groups[2]))
    place = train.latlng[partners[2]]
    place[:, 0] -= np.copysign(degrees, place[:, 0])
    test.latlng[groups[2]] = place
    distance = np.full(len(test.ids), -1)
    distance[groups[3]] = np.arange(len(groups[3])) % (most + _BEYOND + 1)
    for photo, partner in zip(groups[3].tolist(), partners[3].tolist(), strict=True):
        bits = rng.choice(64, distance[photo], replace=False).astype(np.uint64)
        flipped = np.bitwise_or.reduce(np.uint64(1) << bits, initial=np.uint64(0))
        test.hashes[photo] = train.hashes[partner] ^ flipped
    named = {name: groups[at] for at, name in enumerate(("id", "author", "place"))}
    return named, distance


def nearest(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Metres from each test place to the training places in a box around it, by haversine, float64 [N]."""
    order = np.argsort(train[:, 0])
    ordered, found = train[order], np.full(len(test), np.inf)
    reach = np.degrees(2 * _METRES / 1000 / EARTH_RADIUS_KM)
    low, high = (np.searchsorted(ordered[:, 0], test[:, 0] + sign * reach) for sign in (-1, 1))
    for index, (first, last) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        near, here = np.radians(ordered[first:last]), np.radians(test[index])
        half = np.sin((near - here) / 2) ** 2
        arc = half[:, 0] + np.cos(near[:, 0]) * np.cos(here[0]) * half[:, 1]
        metres = 2000 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(arc))
        found[index] = metres.min(initial=np.inf)
    return found


def measured(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """What a call gives, its seconds, and the MB it held at its peak."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, began = _held("VmRSS"), time.perf_counter()
    result = function()
    return result, time.perf_counter() - began, (_held("VmHWM") - before) / 1000


def _held(field: str) -> int:
    (kilobytes,) = re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes)


def check(what: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Ends the script where the test photos found, bool [N], are not those expected, bool [N]."""
    missed, more = int((expected & ~found).sum()), int((found & ~expected).sum())
    if missed or more:
        raise SystemExit(f"{what}: {missed} missed, {more} found that should not be")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=4_700_000)
    parser.add_argument("--test", type=int, default=26_000)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--out", help="also write the figures to this JSON file")
    given = parser.parse_args()
    train, test = drawn_looks(given.train, 1), drawn_looks(given.test, 2)
    planted, distance = plant(train, test, max(given.bits))
    share = {name: np.isin(np.arange(given.test), photos) for name, photos in planted.items()}
    rows: dict[str, Any] = {}

    def measure(what: str, call: Callable[[], np.ndarray]) -> np.ndarray:
        found, seconds, megabytes = measured(call)
        count = int((found if found.dtype == bool else found >= 0).sum())
        rows[what] = {"seconds": seconds, "peak_mb": megabytes, "found": count}
        return found

    for bits in given.bits:
        what = f"near copies, {bits} bits"
        partner = measure(what, lambda bits=bits: near_copy(train, test, bits))
        differing = np.bitwise_count(train.hashes[partner] ^ test.hashes)
        near = (partner >= 0) & (differing <= bits)
        check(what, partner >= 0, near | (distance >= 0) & (distance <= bits))
    ids = measure("ids", lambda: same_value(train.ids, test.ids))
    check("ids", ids >= 0, share["id"])
    authors = measure("authors", lambda: same_value(train.authors, test.authors))
    check(
        "authors", (authors >= 0) & (test.authors != b""), share["author"] & (test.authors != b"")
    )
    places = measure("places", lambda: same_place(train.latlng, test.latlng, _METRES))
    check("places", places, nearest(train.latlng, test.latlng) <= _METRES)
    figures = {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "numpy": np.__version__,
        "train": given.train,
        "test": given.test,
        "parts": rows,
    }
    print(
        f"{given.test:,} test photos against {given.train:,}; all planted pairs found, no false ones"
    )
    print("| what | seconds | peak MB | test photos |\n|---|---|---|---|")
    for what, row in rows.items():
        print(f"| {what} | {row['seconds']:.1f} | {row['peak_mb']:,.0f} | {row['found']:,} |")
    if given.out:
        with atomic_file(given.out) as file:
            file.write((json.dumps(figures, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
