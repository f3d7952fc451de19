"""The embedded data set: a generated Earth, made by `python -m data.planet --out DIR`.

Photos are drawn from (location, viewpoint, conditions) with much of the real Earth to learn from:
climate, relief, soils, plants, building styles, road markings. Each comes with its exact class map.
"""

import argparse
import hashlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from geosurge_jax.command_end import one_line_errors, plain_logging
from geosurge_jax.dataset.ade20k import CLASSES
from geosurge_jax.synthetic_earth.encoding import LICENCE, PhotoSet, author_name, planet_records
from geosurge_jax.synthetic_earth.geography import World, build_world
from geosurge_jax.synthetic_earth.light import Nuisance
from geosurge_jax.synthetic_earth.render import CLASSES_USED, render_photo
from geosurge_jax.synthetic_earth.sampling import plan_photos, sample_locations

__all__ = [
    "CLASSES_USED",
    "SPLITS",
    "Nuisance",
    "World",
    "build_world",
    "planet_records",
    "prepare",
    "render_photo",
    "sample_locations",
    "splits_of",
]

NAME, VERSION = "planet", "2.0.0"
SPLITS = ("train", "validation", "test")
# Share of the authors in the first split and in the first two.
_BOUNDS = (0.80, 0.88)
_SMALLEST = 32  # pixels


def splits_of(authors: Sequence[str]) -> np.ndarray:
    """The split of each author as an index in SPLITS: about 80, 8 and 12 of 100 authors.

    Authors are put in the order of a hash of their names, and the order is cut, so that a small
    data set has its share in every split too.
    """
    digests = [hashlib.sha256(author.encode()).hexdigest() for author in authors]
    place = np.argsort(np.argsort(digests))
    return np.searchsorted(_BOUNDS, (place + 0.5) / len(authors), side="right")


def prepare(
    directory: str | Path,
    *,
    photos: int = 6000,
    size: int = 96,
    seed: int = 0,
    workers: int | None = None,
) -> Path:
    """Make the data set in `directory` and return the finished dataset directory.

    A finished one is returned as it is. The bytes depend on photos, size and seed alone.

    Args:
        directory: Where datasets lie.
        photos: How many, all splits together.
        size: Pixels of a side.
        seed: Of the world and of everything in it.
        workers: Processes that render; None for one per core.

    Raises:
        ValueError: A value out of range, or too few photos to fill every split, or a finished
            data set of other values is in the way.
    """
    # Imported here because the rendering processes load this module and need no TFDS.
    from geosurge_jax.dataset.writer import write_dataset

    if size < _SMALLEST:
        raise ValueError(f"--size {size}: expected at least {_SMALLEST} pixels")
    if photos < 1:
        raise ValueError(f"--photos {photos}: expected at least 1")
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: expected at least 1")
    world = build_world(seed)
    plan = plan_photos(world, photos, seed)
    indexes = _split_indexes(plan.author, seed)
    processes = workers or os.cpu_count() or 1
    splits = {
        split: partial(PhotoSet, world, plan, chosen, size, processes)
        for split, chosen in indexes.items()
    }
    return write_dataset(
        directory,
        NAME,
        VERSION,
        splits,
        segmentation_classes=CLASSES,
        source={"generator": "data.planet", "photos": photos, "size": size, "seed": seed},
        description="A generated Earth: rendered photos with exact class maps and coordinates.",
        licence=LICENCE,
    )


def _split_indexes(author: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Which photos belong to each split, given their authors [M]; authors stay together."""
    numbers = np.unique(author)
    splits = splits_of([author_name(seed, number) for number in numbers])
    of_photo = splits[np.searchsorted(numbers, author)]
    indexes = {split: np.flatnonzero(of_photo == place) for place, split in enumerate(SPLITS)}
    empty = [split for split in SPLITS if not len(indexes[split])]
    if empty:
        raise ValueError(
            f"--photos {len(author)} (config.data.photos): too few, split {empty[0]!r} has none; "
            "expected about 100"
        )
    return indexes


@one_line_errors()
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m data.planet", description=__doc__)
    parser.add_argument("--out", required=True, help="directory where data sets lie")
    parser.add_argument("--photos", type=int, default=6000, help="how many (default: %(default)s)")
    parser.add_argument("--size", type=int, default=96, help="pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the world (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    values = parser.parse_args(arguments)
    plain_logging()
    made = prepare(
        values.out,
        photos=values.photos,
        size=values.size,
        seed=values.seed,
        workers=values.workers,
    )
    print(made)
