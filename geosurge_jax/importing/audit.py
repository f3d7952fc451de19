"""Does a benchmark hold photos that a model was trained on? Of any dataset against any other.

    python -m data.audit --train datasets/mp16/2.0.0 --test datasets/yfcc4k/2.0.0 --out audit

A photo of the test set leaks where the training split has its id, a near copy of it (a perceptual hash that
differs in at most `--bits` bits), or a photo of the same author. Photos of the same place, within `--metres`,
are counted beside: a famous place is no leak in itself. In `--out` are left `report.html` with the counts,
`leaks-NAME.csv` with every photo that leaks, its partner and the reason, and a dataset `NAME_clean` of the
others, so that an evaluation shows both rows:

    --config.evaluation.datasets="('datasets/yfcc4k/2.0.0:test', 'audit/yfcc4k_clean/2.0.0:test')"

Hashes of a split are kept in `--out` and made once.
"""

import argparse
import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.command_end import one_line_errors, plain_logging
from geosurge_jax.dataset.reader import Dataset, Split, open_dataset
from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.writer import write_dataset
from geosurge_jax.evaluation.page import Section, write_page
from geosurge_jax.evaluation.tables import Table
from geosurge_jax.importing.files import replaced
from geosurge_jax.importing.folder_rows import in_threads
from geosurge_jax.importing.overlap import LEAKS, Looks, Overlap, overlap
from geosurge_jax.importing.perceptual_hash import perceptual_hash
from geosurge_jax.input.images import decode_image
from geosurge_jax.progress import track
from geosurge_jax.untrusted_text import csv_cell


def looks_of(dataset: Dataset, split: Split, kept: Path, threads: int) -> Looks:
    """Reads all records of a split, or what an earlier call kept of them.

    Raises:
        ValueError: the split has no photos to look at.
    """
    if split.features is not None:
        raise ValueError(
            f"{dataset.directory}: features in place of photos, expected the dataset they are of"
        )
    digest = dataset.manifest.latlng_sha256[split.name][:16]
    path = kept / f"hashes-{dataset.manifest.name}-{split.name}-{digest}.npz"
    if not path.exists():
        title = f"hashing {dataset.manifest.name} {split.name}"
        found = in_threads(lambda index: _look(split.records[index]), range(len(split)), threads)
        ids, authors, hashes = zip(*track(found, title, len(split)), strict=True)
        with replaced(path) as passing, passing.open("wb") as file:
            np.savez(
                file,
                ids=np.array([identity.encode() for identity in ids], np.bytes_),
                authors=np.array([author.encode() for author in authors], np.bytes_),
                hashes=np.array([value or 0 for value in hashes], np.uint64),
                hashed=np.array([value is not None for value in hashes]),
            )
    with np.load(path) as stored:
        columns = {name: stored[name] for name in ("ids", "authors", "hashes", "hashed")}
    return Looks(**columns, latlng=split.latlng)


def _look(record: Mapping[str, Any]) -> tuple[str, str, int | None]:
    try:
        value = perceptual_hash(decode_image(record["image"]))
    except Exception:  # decoders have many ways to fail; an image that has no hash is counted
        value = None
    return record["id"], record["author"], value


def write_leaks(path: Path, train: Looks, test: Looks, found: Overlap) -> None:
    """A row for each photo that leaks: index, id, reason, the training photo's id."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("index", "id", "reason", "training_id"))
        for index in np.flatnonzero(found.leaks).tolist():
            reason = next(name for name in LEAKS if found.partners[name][index] >= 0)
            partner = _text(train.ids[found.partners[reason][index]])
            writer.writerow((index, csv_cell(_text(test.ids[index])), reason, csv_cell(partner)))


def _text(stored: Any) -> str:
    return bytes(stored).decode()


def write_clean(out: Path, dataset: Dataset, split: Split, leaks: np.ndarray, train: str) -> Path:
    """The photos of a split that do not leak, as a dataset of their own.

    Raises:
        ValueError: all photos leak.
    """
    manifest = dataset.manifest
    if leaks.all():
        raise ValueError(f"{dataset.directory}: all {len(leaks)} photos of {split.name} leak")
    return write_dataset(
        out,
        f"{manifest.name}_clean",
        manifest.version,
        {split.name: lambda: _records(split, np.flatnonzero(~leaks))},
        manifest.segmentation_classes,
        {"of": manifest.name, "without": train, "left_out": np.flatnonzero(leaks).tolist()},
        f"{manifest.description} Without the {leaks.sum()} photos that {train} has, or their authors.",
        manifest.licence,
    )


def _records(split: Split, indexes: np.ndarray) -> Iterator[Record]:
    for index in indexes.tolist():
        stored = split.records[index]
        latitude, longitude = stored["latlng"].tolist()
        coarse, middle, fine = stored["scene"].tolist()
        yield Record(
            id=stored["id"],
            image=stored["image"],
            latlng=(latitude, longitude),
            segmentation=stored["segmentation"],
            scene=(coarse, middle, fine),
            author=stored["author"],
            licence=stored["licence"],
        )


def audit(
    train: Path, tests: Sequence[Path], out: Path, bits: int, metres: float, threads: int
) -> Table:
    """Audits test sets against the training split of a dataset, and writes all that is found.

    Returns:
        A row for each test set.

    Raises:
        ValueError: a dataset is not finished or has no such split, or a value is out of range.
    """
    out.mkdir(parents=True, exist_ok=True)
    training = open_dataset(train)
    known = looks_of(training, training.split("train"), out, threads)
    rows = []
    for directory in tests:
        dataset = open_dataset(directory)
        split = dataset.split("test")
        looks = looks_of(dataset, split, out, threads)
        found = overlap(known, looks, bits, metres)
        name = dataset.manifest.name
        write_leaks(out / f"leaks-{name}.csv", known, looks, found)
        write_clean(out, dataset, split, found.leaks, training.manifest.name)
        counts = [int((found.partners[reason] >= 0).sum()) for reason in LEAKS]
        clean = int((~found.leaks).sum())
        places = int(found.same_place.sum())
        rows.append((name, *(f"{n:,}" for n in (len(split), *counts, clean, places))))
    unhashed = int((~known.hashed).sum())
    notes = (
        f"Against {len(known.ids):,} training photos of {training.manifest.name}. Near copies: at most "
        f"{bits} of 64 bits differ; {unhashed:,} training photos are too flat or cannot be read.",
        f"Clean: no reason holds. Same place: a training photo within {metres:g} m, which is no leak.",
    )
    table = Table(("test set", "photos", *LEAKS, "clean", "same place"), tuple(rows), notes)
    write_page(out, f"Leaks from {training.manifest.name}", [Section("Photos", (table,))])
    return table


@one_line_errors(resumes=True)
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m data.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--train", type=Path, required=True, help="a dataset with a training split")
    parser.add_argument(
        "--test", type=Path, required=True, nargs="+", help="datasets with test splits"
    )
    parser.add_argument("--out", type=Path, required=True, help="where to leave what is found")
    parser.add_argument("--bits", type=int, default=4, help="that near copies differ in at most")
    parser.add_argument(
        "--metres", type=float, default=25.0, help="within which places are the same"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="photos read at a time")
    given = parser.parse_args(arguments)
    plain_logging()
    table = audit(given.train, given.test, given.out, given.bits, given.metres, given.threads)
    print(table.markdown())
    print(given.out / "report.html")
