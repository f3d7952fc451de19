"""The geocells of a dataset, looked at before anything is trained, or those of published tables.

    python -m data.geocells --dataset datasets/mp16/2.0.0
    python -m data.geocells --cells cells_50_5000.csv cells_50_2000.csv cells_50_1000.csv --out geocells

Makes the hierarchy that training makes of the same places, says how many cells and photos each level keeps,
and leaves `geocells.npz`, a CSV for each level in the family's form and a map: in `geocells` inside the
dataset, or in `--out`.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from geosurge_jax.command_end import one_line_errors, plain_logging
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.evaluation.geocell_map import draw_geocells
from geosurge_jax.geo import (
    DEFAULT_MAX_IMAGES,
    DEFAULT_MIN_IMAGES,
    Hierarchy,
    Partition,
    atomic_file,
    build_hierarchy,
    export_partition_csv,
    import_partition_csv,
    link_partitions,
    save_hierarchy,
)

PUBLISHED_CELLS: Mapping[int, int] = {5000: 3298, 2000: 7202, 1000: 12893}
"""Cells of MP-16 by tau_max at tau_min 50 (Muller-Budack, Pustu-Iren and Ewerth, ECCV 2018)."""

_DRAWN = 3


def kept_table(hierarchy: Hierarchy, photos: int, max_images: Sequence[int]) -> str:
    """For each level its cells, beside those published of MP-16, and the share of photos it keeps.

    Args:
        hierarchy: L levels.
        photos: that it was made of.
        max_images: tau_max of each level.
    """
    lines = [f"{'tau_max':>8} {'cells':>8} {'MP-16':>8} {'photos kept':>12}"]
    for most, partition in zip(max_images, hierarchy.partitions, strict=True):
        kept = partition.counts.sum() / photos
        published = f"{PUBLISHED_CELLS[most]:,}" if most in PUBLISHED_CELLS else ""
        lines.append(f"{most:>8,} {len(partition.ids):>8,} {published:>8} {kept:>11.2%}")
    return "\n".join(lines)


def write_geocells(directory: Path, hierarchy: Hierarchy, names: Sequence[str]) -> None:
    """Leaves the hierarchy, a CSV for each level by name, and a map of some levels in a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    save_hierarchy(directory / "geocells.npz", hierarchy)
    for name, partition in zip(names, hierarchy.partitions, strict=True):
        export_partition_csv(directory / f"{name}.csv", partition)
    levels = len(hierarchy.partitions)
    shown = sorted({round(step * (levels - 1) / (_DRAWN - 1)) for step in range(_DRAWN)})
    drawn: dict[str, Partition] = {
        f"{names[level]}: {len(hierarchy.partitions[level].ids):,} cells": hierarchy.partitions[
            level
        ]
        for level in shown
    }
    with atomic_file(directory / "geocells.png") as file:
        file.write(draw_geocells(drawn))


def of_dataset(
    directory: Path, out: Path | None, max_images: Sequence[int], min_images: int, drop: str
) -> Path:
    """Makes and writes the geocells of a dataset's training photos; prints what they keep.

    Returns:
        Where they lie.

    Raises:
        ValueError: no finished dataset, or no hierarchy of its places with these thresholds.
    """
    latlng = open_dataset(directory).split("train").latlng
    began = time.perf_counter()
    hierarchy = build_hierarchy(latlng, max_images, min_images, drop=drop)
    seconds = time.perf_counter() - began
    print(kept_table(hierarchy, len(latlng), max_images))
    nowhere = int((hierarchy.assign(latlng) < 0).all(axis=1).sum())
    print(f"{len(latlng):,} photos, {nowhere:,} of them in no cell of any level; {seconds:.1f} s")
    out = out or directory / "geocells"
    write_geocells(out, hierarchy, [f"cells_{min_images}_{most}" for most in max_images])
    return out


def of_tables(paths: Sequence[Path], out: Path, repair: bool) -> Path:
    """Reads published tables of cells, coarse to fine, and writes them as one hierarchy.

    Returns:
        Where it lies.

    Raises:
        ValueError: a table is damaged; names the file and the remedy.
    """
    partitions = [import_partition_csv(path, repair) for path in paths]
    for path, partition in zip(paths, partitions, strict=True):
        print(f"{path}: {len(partition.ids):,} cells, {int(partition.counts.sum()):,} photos")
    write_geocells(out, link_partitions(partitions), [path.stem for path in paths])
    return out


@one_line_errors()
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m data.geocells", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--dataset", type=Path, help="a finished dataset")
    what.add_argument("--cells", type=Path, nargs="+", help="tables of cells, coarse to fine")
    parser.add_argument("--repair", action="store_true", help="tokens that a spreadsheet damaged")
    parser.add_argument("--out", type=Path, help="where to leave them (default: in the dataset)")
    parser.add_argument(
        "--max-images",
        type=lambda text: tuple(int(most) for most in text.split(",")),
        default=DEFAULT_MAX_IMAGES,
        metavar="A,B,...",
        help="tau_max of each level, coarse to fine",
    )
    parser.add_argument("--min-images", type=int, default=DEFAULT_MIN_IMAGES, help="tau_min")
    parser.add_argument(
        "--drop", choices=("below", "at_or_below"), default="below", help="cells of tau_min"
    )
    given = parser.parse_args(arguments)
    plain_logging()
    if given.dataset is not None:
        limits = given.max_images, given.min_images, given.drop
        print(of_dataset(given.dataset, given.out, *limits))
    elif given.out is None:
        raise ValueError("--cells: expected --out, where to leave the geocells")
    else:
        print(of_tables(given.cells, given.out, given.repair))
