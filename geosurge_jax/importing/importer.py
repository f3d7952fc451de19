"""The whole way from an archive and a table to a finished dataset directory."""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.command_end import NothingDoneError
from geosurge_jax.dataset.ade20k import CLASSES
from geosurge_jax.dataset.directory import (
    check_name,
    finish_directory,
    new_manifest,
    only_one,
)
from geosurge_jax.dataset.manifest import file_sha256
from geosurge_jax.dataset.shards import WrittenSplit
from geosurge_jax.dataset.writer import SHARD_BYTES
from geosurge_jax.importing.archives.contract import Archive, Contents
from geosurge_jax.importing.chunks import read_rejections
from geosurge_jax.importing.gather import Gather
from geosurge_jax.importing.import_source import IMPORTER, claim, is_finished
from geosurge_jax.importing.near_copies import (
    DEFAULT_BITS,
    NEAR_COPIES_FILE,
    near_copies_csv,
)
from geosurge_jax.importing.photo_rows import PhotoRows, id_key, write_photo_rows
from geosurge_jax.importing.plan import Chosen, Plan, choose_photos, make_plan
from geosurge_jax.importing.row_values import Rejection, write_rejections
from geosurge_jax.importing.runners import Runner
from geosurge_jax.importing.scatter import Scatter
from geosurge_jax.importing.table import Table
from geosurge_jax.input.image_files import account

REJECTED_FILE = "rejected.csv"
_DEGREES = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Import:
    """An archive to be imported.

    Attributes:
        name: Of the dataset.
        version: Of the dataset, `major.minor.patch`; its first number is the format of the records.
        archive: Where photos come from.
        table: Where they were taken; None = the archive itself says it.
        fractions: Share of each split; one split alone may have it all.
        seed: Of the global shuffle.
        short_side: Of a stored photo at most, in pixels; None = as it is.
        quality: Of JPEGs that are coded anew, 1 to 100.
        near_copy_bits: Bits in which the perceptual hashes of near copies differ at most.
        shard_bytes: Of a shard, about.
        description: A sentence or two for people.
        licence: The terms the whole comes under.
    """

    name: str
    version: str
    archive: Archive
    table: Table | None
    fractions: Mapping[str, float]
    seed: int
    short_side: int | None
    quality: int
    description: str
    licence: str
    near_copy_bits: int = DEFAULT_BITS
    shard_bytes: int = SHARD_BYTES

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range."""
        check_name(self.name, self.version)
        if self.short_side is not None and self.short_side < 1:
            raise ValueError(f"short side {self.short_side}, expected 1 or more (--short-side)")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality {self.quality}, expected 1 to 100 (--quality)")
        if not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"seed {self.seed}, expected a number of 64 bits (--seed)")


def import_archive(
    directory: str | Path, job: Import, runner: Runner, *, rebuild: bool = False
) -> Path:
    """Import an archive and return the finished dataset directory `<directory>/<name>/<version>`.

    Ended at any instant, the same call goes on: finished units and shards are kept, and the bytes of the
    dataset are those of an undisturbed import. They depend neither on the runner nor on the shape of the
    archive. A finished dataset of the same source is returned as it is.

    Args:
        directory: Where datasets lie.
        job: What to import and how.
        runner: Who does the work.
        rebuild: Whether a dataset, or an interrupted import, of another source is replaced.

    Raises:
        ValueError: The archive or the table is not what it should be, a finished dataset or an interrupted
            import of another source is in the way, or no photo is left: then `rejected-<version>.csv` beside
            where the dataset would be names them all.
    """
    final = Path(directory) / job.name / job.version
    final.parent.mkdir(parents=True, exist_ok=True)
    with only_one(final.parent):
        work = final.parent / f".importing-{job.version}"
        (work / "index").mkdir(parents=True, exist_ok=True)
        contents = job.archive.contents(work / "index")
        units, source = contents.units, _source(job, contents)
        if is_finished(final, source, rebuild):
            shutil.rmtree(work)
            return final
        claim(work, source, rebuild)
        rows = _photo_rows(work, job.table)
        _log.info("%s: %d units to read", job.name, len(units))
        chunks = _made(work / "chunks")
        scatter = Scatter(job.archive, rows, chunks, job.seed, job.short_side, job.quality)
        runner(scatter, units, f"reading {job.name}")
        chosen = choose_photos(chunks, [unit.name for unit in units])
        rejections = _rejections(chunks, chosen, rows)
        if not len(chosen.index):
            raise _nothing_left(work, final, rejections)
        plan = make_plan(chosen, job.name, job.fractions, job.shard_bytes, job.near_copy_bits)
        gather = Gather(chunks, _made(work / "shards"), _made(work / "notes"))
        shards = [shard for planned in plan.shards.values() for shard in planned]
        runner(gather, shards, f"writing {job.name}")
        of_files: Counter[str] = Counter()
        kinds = _finish(gather, job, source, plan, _counting(rejections, of_files))
        ids = [identity.decode() for identity in chosen.index.identity.tolist()]
        (gather.shards / NEAR_COPIES_FILE).write_bytes(near_copies_csv(ids, plan.copies))
        if final.exists():
            os.rename(final, work / "replaced")
        os.rename(gather.shards, final)
        shutil.rmtree(work)
        _report(job, contents, plan, kinds, of_files)
    return final


def _made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory


def _source(job: Import, contents: Contents) -> dict[str, Any]:
    """Everything that the records depend on."""
    table = job.table
    return {
        "archive": type(job.archive).__name__,
        "files": contents.fingerprint,
        "table": None if table is None else file_sha256(table.path),
        "columns": None if table is None else table.columns,
        "fractions": dict(job.fractions),
        "seed": job.seed,
        "short_side": job.short_side,
        "quality": job.quality,
        "shard_bytes": job.shard_bytes,
        "near_copy_bits": job.near_copy_bits,
        "importer": IMPORTER,
    }


def _photo_rows(work: Path, table: Table | None) -> Path | None:
    """The directory of the table's rows, None where there is no table."""
    if table is None:
        return None
    if not (work / "rows").exists():
        _log.info("%s: reading the table", table.path)
        write_photo_rows(table, work / "rows")
    return work / "rows"


def _rejections(chunks: Path, chosen: Chosen, directory: Path | None) -> Iterator[Rejection]:
    """Rows of the table, members of the archive, photos that others count for, rows without a photo."""
    found = [chosen.keys]
    rows = None if directory is None else PhotoRows(directory)
    if rows is not None:
        yield from rows.rejections
    for unit in chosen.units:
        rejections = read_rejections(chunks, unit)
        found.append(np.array([id_key(rejected.id) for rejected in rejections], np.uint64))
        yield from rejections
    yield from chosen.rejections
    if rows is not None:
        yield from rows.without_photo(np.concatenate(found))


def _nothing_left(work: Path, final: Path, rejections: Iterator[Rejection]) -> NothingDoneError:
    """Return the error that says why no image is left; deletes the working directory, which is of no use."""
    listed = final.parent / f"rejected-{final.name}.csv"
    with listed.open("wb") as file:
        kinds = write_rejections(file, rejections)
    shutil.rmtree(work)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return NothingDoneError(
        f"dataset {final.parent.name!r}: no photo left: {counts}; see {listed} (--source, --table)"
    )


def _finish(
    gather: Gather, job: Import, source: Any, plan: Plan, rejections: Iterator[Rejection]
) -> Counter[str]:
    """Writes what lies beside the shards; returns how many photos and rows were rejected for what."""
    with (gather.shards / REJECTED_FILE).open("wb") as file:
        kinds = write_rejections(file, rejections)
    written = {
        split: WrittenSplit(
            tuple(gather.finished(planned) for planned in shards),
            sum(int(planned.size.sum()) for planned in shards),
            plan.latlng[split],
        )
        for split, shards in plan.shards.items()
    }
    summary = {
        "rejected": dict(kinds.most_common()),
        "degrees": _DEGREES,
        "histogram": {split: _histogram(latlng) for split, latlng in plan.latlng.items()},
    }
    manifest = new_manifest(
        job.name, job.version, CLASSES, source, job.description, job.licence, summary=summary
    )
    finish_directory(gather.shards, manifest, written)
    return kinds


def _counting(rejections: Iterator[Rejection], of_files: Counter[str]) -> Iterator[Rejection]:
    """Passes rejections on and counts the kinds of those that are of a file and not of a row alone."""
    for rejection in rejections:
        if rejection.file:
            of_files[rejection.kind] += 1
        yield rejection


def _report(
    job: Import,
    contents: Contents,
    plan: Plan,
    kinds: Counter[str],
    of_files: Counter[str],
) -> None:
    counts = {split: len(latlng) for split, latlng in plan.latlng.items()}
    kept = ", ".join(f"{count} {split}" for split, count in counts.items())
    _log.info("%s: %s", job.name, kept)
    if kinds:
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        _log.warning("rejected: %s; see %s", listed, REJECTED_FILE)
    _log.info("%s", plan.copies.sentence())
    rows = kinds.total() - of_files.total()
    line = account("stored", sum(counts.values()), of_files, contents.skipped)
    _log.info("%s", f"{line}; {rows:,} rows rejected or without a file" if rows else line)


def _histogram(latlng: np.ndarray) -> list[str]:
    """Photos in each field of `_DEGREES` degrees: a line a latitude, south pole first, from 180 west."""
    bins = (180 // _DEGREES, 360 // _DEGREES)
    counts, _, _ = np.histogram2d(*latlng.T, bins=bins, range=((-90, 90), (-180, 180)))
    return [" ".join(map(str, line)) for line in counts.astype(int).tolist()]
