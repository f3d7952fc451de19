"""Checks every byte of finished datasets.

    python -m data.verify datasets/mp16/2.0.0 datasets/im2gps3k/2.0.0

All files have the sizes and the SHA-256 that the manifest names. Every record can be read and decoded,
carries the coordinates that stand in the file of coordinates, and has an id of its own; its image holds no
metadata. What is wrong is named, and the command exits with 1.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from geosurge_jax.command_end import NegativeAnswer, one_line_errors, plain_logging, tell
from geosurge_jax.dataset.reader import Dataset, Split, open_dataset
from geosurge_jax.importing.metadata_marks import find_metadata
from geosurge_jax.input.images import decode_class_map, decode_image
from geosurge_jax.progress import track
from geosurge_jax.threads import in_threads

SHOWN = 20
"""Problems that are printed for each dataset; further ones are counted."""


def problems(dataset: Dataset, threads: int) -> Iterator[str]:
    """Yields what is wrong with the records of a dataset, one line each.

    Args:
        dataset: an open dataset.
        threads: records read at a time.
    """
    for name in dataset.manifest.splits:
        split = dataset.split(name)
        ids: Counter[str] = Counter()
        found = in_threads(partial(_check, split), range(len(split)), threads)
        title = f"verifying {dataset.manifest.name} {name}"
        for index, (identity, problem) in enumerate(track(found, title, len(split))):
            ids[identity] += bool(identity)
            if not problem and ids[identity] > 1:
                problem = "an earlier record of the split has the same id"
            if problem:
                yield f"{split.location(index)} ({identity or 'no id'}): {problem}"


def _check(split: Split, index: int) -> tuple[str, str]:
    """The id of a record, and what is wrong with it; empty = nothing."""
    identity = ""
    try:
        record = split.records[index]
        identity = record["id"]
        if not np.array_equal(record["latlng"], split.latlng[index]):
            expected = split.latlng[index].tolist()
            return identity, f"coordinates {record['latlng'].tolist()}, expected {expected}"
        decode_class_map(record["segmentation"])
        if split.features is None:
            decode_image(record["image"])
            left = find_metadata(record["image"])
            return identity, f"the image holds {left}" if left else ""
    except Exception as error:  # whatever damage in a shard makes its readers raise
        return identity, " ".join(str(error).split()) or type(error).__name__
    return identity, ""


def verify(directory: Path, threads: int) -> int:
    """Checks a dataset and prints what is wrong.

    Args:
        directory: a finished dataset.
        threads: records read at a time.

    Returns:
        The number of records, all of them sound.

    Raises:
        DatasetError: a file is not what the manifest says.
        NegativeAnswer: records are damaged; says how many.
    """
    dataset = open_dataset(directory, verify=True)
    count = 0
    for count, problem in enumerate(problems(dataset, threads), start=1):
        if count <= SHOWN:
            tell(problem)
    records = sum(map(dataset.manifest.count, dataset.manifest.splits))
    if count:
        raise NegativeAnswer(f"{directory}: {count:,} of {records:,} records are damaged")
    return records


@one_line_errors()
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m data.verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("datasets", type=Path, nargs="+", help="directories of finished datasets")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="records at a time")
    given = parser.parse_args(arguments)
    plain_logging()
    for directory in given.datasets:
        print(f"{directory}: {verify(directory, given.threads):,} records are sound")
