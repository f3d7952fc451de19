"""Times geocells: a hierarchy of 4.7 M photo locations, what `data.geocells` does with it, 1 M assigned.

    python -m benchmarks.geocells [--photos 4700000] [--assign 1000000] [--sample 20000] [--out
    FILE.json]

4.7 M is the size of MP-16. The locations are drawn like a photo collection: cities of
Zipf-distributed size, each with its own spread, and a tenth of the photos anywhere. s2sphere works
point by point in Python, so it runs on a sample and its time is extrapolated by the number of
points; the two assign the sample to the same cells, or the script fails. Of `python -m
data.geocells`, which makes the hierarchy, assigns its photos and writes tables and maps, all is
timed but the start of Python and the opening of the data set.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import s2sphere

from geosurge_jax import geo
from geosurge_jax.importing.geocells import write_geocells


def draw_locations(count: int, seed: int) -> np.ndarray:
    """Clustered locations in degrees, float64 [count, 2]."""
    rng = np.random.default_rng(seed)
    cities = 20_000
    centers = np.stack(
        [np.degrees(np.arcsin(rng.uniform(-0.8, 0.95, cities))), rng.uniform(-180, 180, cities)],
        axis=-1,
    )
    share = 1.0 / np.arange(1, cities + 1)
    city = rng.choice(cities, count, p=share / share.sum())
    spread = 10.0 ** rng.uniform(-2.5, 0.0, cities)
    latlng = centers[city] + rng.normal(size=(count, 2)) * spread[city, None]
    anywhere = rng.random(count) < 0.1
    latlng[anywhere] = rng.uniform([-60, -180], [75, 180], (int(anywhere.sum()), 2))
    return np.stack([np.clip(latlng[:, 0], -90, 90), (latlng[:, 1] + 180) % 360 - 180], axis=-1)


def seconds(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The least time of `repeats` calls, and the last result."""
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


def assign_by_s2sphere(latlng: np.ndarray, hierarchy: geo.Hierarchy) -> np.ndarray:
    """The peer's way: one id a point, then its parents until one is a cell, int32 [M, L]."""
    tables = [
        {int(cell): index for index, cell in enumerate(partition.ids)}
        for partition in hierarchy.partitions
    ]
    levels = [
        sorted(set(geo.cell_levels(partition.ids).tolist()), reverse=True)
        for partition in hierarchy.partitions
    ]
    cells = np.full((len(latlng), len(tables)), -1, np.int32)
    for row, (latitude, longitude) in enumerate(latlng.tolist()):
        leaf = s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(latitude, longitude))
        for column, table in enumerate(tables):
            for level in levels[column]:
                found = table.get(leaf.parent(level).id())  # pyright: ignore
                if found is not None:
                    cells[row, column] = found
                    break
    return cells


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description="Times geocells beside s2sphere.")
    parser.add_argument("--photos", type=int, default=4_700_000)
    parser.add_argument("--assign", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=20_000, help="points that s2sphere does")
    parser.add_argument("--out", help="also write the figures to this JSON file")
    arguments = parser.parse_args()

    latlng = draw_locations(arguments.photos, seed=0)
    queries = draw_locations(arguments.assign, seed=1)
    sample = queries[: arguments.sample]
    build_s, hierarchy = seconds(lambda: geo.build_hierarchy(latlng), repeats=1)
    own_s, _ = seconds(lambda: hierarchy.assign(latlng), repeats=1)
    names = [f"cells_{most}" for most in geo.DEFAULT_MAX_IMAGES]
    with tempfile.TemporaryDirectory() as folder:
        write_s, _ = seconds(lambda: write_geocells(Path(folder), hierarchy, names), repeats=1)
    ids_s, _ = seconds(lambda: geo.leaf_ids(queries), repeats=3)
    assign_s, ours = seconds(lambda: hierarchy.assign(queries), repeats=3)
    peer_s, theirs = seconds(lambda: assign_by_s2sphere(sample, hierarchy), repeats=1)
    if not np.array_equal(ours[: len(sample)], theirs):
        raise SystemExit("s2sphere assigns the sample to other cells")

    peer_extrapolated_s = peer_s / len(sample) * len(queries)
    figures = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "photos": len(latlng),
        "max_images": geo.DEFAULT_MAX_IMAGES,
        "cells": [len(partition) for partition in hierarchy.partitions],
        "build_s": build_s,
        "assign_own_s": own_s,
        "write_s": write_s,
        "assigned": len(queries),
        "leaf_ids_s": ids_s,
        "assign_s": assign_s,
        "s2sphere_sample": len(sample),
        "s2sphere_sample_s": peer_s,
        "s2sphere_assign_extrapolated_s": peer_extrapolated_s,
        "assign_speedup": peer_extrapolated_s / assign_s,
    }
    print(f"hierarchy of {len(latlng):,} photos, 7 levels: {build_s:.2f} s (goal: 10 s)")
    print(f"  cells, coarse to fine: {figures['cells']}")
    print(f"  its photos assigned: {own_s:.2f} s; tables and maps: {write_s:.2f} s")
    print(f"assignment of {len(queries):,} points to 7 levels: {assign_s:.2f} s (goal: 1 s)")
    print(f"  of which leaf ids: {ids_s:.2f} s")
    print(
        f"  s2sphere: {peer_extrapolated_s:.0f} s, "
        f"extrapolated from {peer_s:.2f} s for {len(sample):,} points"
    )
    print(f"  same cells on the sample; {figures['assign_speedup']:.0f} times as fast")
    if arguments.out:
        with geo.atomic_file(arguments.out) as file:
            file.write((json.dumps(figures, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
