"""Archives of photos as people have them -> datasets.

    python -m data.prepare mp16 --source PHOTOS --table mp16_places365.csv --out datasets
    python -m data.prepare im2gps3k --source PHOTOS --table im2gps3k_places365.csv --out datasets

Photos that cannot be used are named in `rejected.csv` inside the dataset and counted in the manifest; the
others are stored upright, without metadata, their short side at most `--short-side` pixels. Ended at any
instant, the same command goes on. With `--beam` Apache Beam does the work: everything after `--` goes to
its runner (`-- --runner=FlinkRunner ...`), whose workers have to see source and output under the same paths.
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from geosurge_jax.command_end import one_line_errors, plain_logging
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.dataset.splits import check_fractions
from geosurge_jax.importing.archives.contract import Archive
from geosurge_jax.importing.archives.shapes import SHAPES, archive_of
from geosurge_jax.importing.benchmarks import BENCHMARKS
from geosurge_jax.importing.importer import Import, import_archive
from geosurge_jax.importing.mp16 import MP16
from geosurge_jax.importing.near_copies import DEFAULT_BITS
from geosurge_jax.importing.osv5m import OSV5M
from geosurge_jax.importing.photo_set import VERSION, PhotoSet
from geosurge_jax.importing.runners import on_beam, on_this_machine
from geosurge_jax.importing.table import KNOWN_NAMES, open_table

PHOTO_SETS: Mapping[str, PhotoSet] = {known.name: known for known in (MP16, *BENCHMARKS, *OSV5M)}
_log = logging.getLogger(__name__)
_POSITION = ("latitude", "longitude")


def parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    flags = argparse.ArgumentParser(
        prog="python -m data.prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_argument("dataset", choices=PHOTO_SETS, help="which set of photos it is")
    flags.add_argument("--source", required=True, type=Path, help="the photos")
    flags.add_argument("--out", required=True, help="where datasets lie")
    flags.add_argument(
        "--table", type=Path, help="CSV, JSONL, GeoJSON or Parquet file of the places"
    )
    flags.add_argument("--shape", choices=SHAPES, help="of the photos (default: what is found)")
    flags.add_argument("--name", help="of the dataset (default: as above)")
    flags.add_argument("--version", default=VERSION, help="of the dataset")
    flags.add_argument(
        "--short-side", type=int, default=384, help="most pixels of a stored short side; 0 = any"
    )
    flags.add_argument("--quality", type=int, default=90, help="of JPEGs that are coded anew")
    flags.add_argument("--seed", type=int, default=0, help="of the global shuffle")
    flags.add_argument(
        "--fractions",
        type=lambda text: [float(share) for share in text.split(",")],
        metavar="A,B,C",
        help="shares of train, validation and test",
    )
    flags.add_argument(
        "--near-copy-bits",
        type=int,
        default=DEFAULT_BITS,
        help="hashes of near-identical photos, which stay in one split, differ in at most so many bits",
    )
    flags.add_argument(
        "--rebuild", action="store_true", help="replace a dataset of another state of the source"
    )
    flags.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    flags.add_argument("--beam", action="store_true", help="let Apache Beam do the work")
    for role, names in KNOWN_NAMES.items():
        flags.add_argument(f"--{role}-column", help=f"recognised: {', '.join(names)}")
    return flags


def import_of(given: argparse.Namespace) -> Import:
    """What the flags of `parser` ask to be imported.

    Raises:
        ValueError: A flag is wrong, or the photos or the table are not there.
    """
    known = PHOTO_SETS[given.dataset]
    archive: Archive = archive_of(given.source, given.shape)
    named = {role: vars(given)[f"{role}_column"] for role in KNOWN_NAMES}
    named = {role: column for role, column in named.items() if column is not None}
    if named and given.table is None:
        raise ValueError(f"--{next(iter(named))}-column: expected --table, which has columns")
    table = None if given.table is None else open_table(given.table, named, _POSITION)
    if table is not None:
        ignored = (f"columns not used: {', '.join(table.ignored)}",) if table.ignored else ()
        for note in (*ignored, *table.notes):
            _log.info("%s: %s", table.path, note)
    return Import(
        name=given.name or known.name,
        version=given.version,
        archive=archive,
        table=table,
        fractions=check_fractions(given.fractions) if given.fractions else known.fractions,
        seed=given.seed,
        short_side=given.short_side or None,
        quality=given.quality,
        near_copy_bits=given.near_copy_bits,
        description=known.description,
        licence=known.licence,
    )


@one_line_errors(resumes=True)
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    cut = words.index("--") if "--" in words else len(words)
    given = parser().parse_args(words[:cut])
    plain_logging()
    if words[cut + 1 :] and not given.beam:
        raise ValueError(f"{' '.join(words[cut:])}: flags for Beam's runner, expected --beam")
    job = import_of(given)
    with ExitStack() as opened:
        if given.beam:
            runner = on_beam(words[cut + 1 :])
        else:
            runner = opened.enter_context(on_this_machine(given.workers))
        written = import_archive(given.out, job, runner, rebuild=given.rebuild)
    manifest = open_dataset(written).manifest
    arrived = sum(manifest.count(split) for split in manifest.splits)
    print(PHOTO_SETS[given.dataset].difference(arrived))
    print(written)
