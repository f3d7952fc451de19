"""Any folder of photos, with a table or with EXIF positions -> a dataset.

    python -m data.folder --source DIR --out DIR [--table metadata.csv] [--latitude-column NAME ...]

Every row is checked; what does not pass is named in `rejected.csv` inside the dataset. Without a table,
positions are read from EXIF, XMP, or the sidecars that photo managers and Google Takeout leave. Photos are
turned upright and lose their metadata: losslessly where they are upright JPEG, PNG or WebP already, else
re-encoded as JPEG of quality 95. Authors, places and near-identical photos are not torn apart by splits.
"""

import argparse
import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geosurge_jax.command_end import one_line_errors, plain_logging
from geosurge_jax.dataset.directory import check_name
from geosurge_jax.dataset.manifest import read_manifest
from geosurge_jax.dataset.splits import check_fractions
from geosurge_jax.importing.folder_import import ImportOptions, import_folder
from geosurge_jax.importing.folder_source import TABLES, open_folder
from geosurge_jax.importing.folder_state import (
    Memory,
    changes,
    files_digest,
    look_at,
    read_memory,
    write_memory,
)
from geosurge_jax.importing.near_copies import DEFAULT_BITS
from geosurge_jax.importing.table import KNOWN_NAMES

IMPORTER = 3
"""Raised when the same folder would give other records."""
VERSION = "2.0.0"
"""Of a dataset where none is asked for; its first number is the format of the records."""

_log = logging.getLogger(__name__)


def prepare(
    directory: str | Path,
    source: str | Path,
    *,
    name: str | None = None,
    version: str = VERSION,
    table: str | None = None,
    columns: Mapping[str, str] | None = None,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    short_side: int | None = None,
    near_copy_bits: int = DEFAULT_BITS,
    rebuild: bool = False,
    threads: int = 4,
) -> Path:
    """Imports a folder of photos and returns the finished dataset directory.

    A finished dataset of the same folder (table, names and contents of files, options) is returned as it is.
    Files whose size and time of change are those of the last import are not read again.

    Args:
        directory: where datasets lie.
        source: the folder of photos.
        name: of the dataset; None = the folder's name in lower case letters, digits, underscores, with a
            suffix where another folder of the same name came before.
        version: of the dataset, `major.minor.patch`.
        table: a CSV, JSONL, GeoJSON or Parquet file in the folder; None = the first of `TABLES` that exists,
            else the photos' own positions.
        columns: role (a key of `KNOWN_NAMES`) -> column, where names are not recognised.
        fractions: shares of train, validation and test.
        short_side: photos with a longer short side are made smaller and re-encoded.
        near_copy_bits: bits in which the perceptual hashes of photos differ at most that stay in one split.
        rebuild: whether a dataset that was made from another state of the folder is replaced.
        threads: files that are read at a time.

    Raises:
        ValueError: the folder, the table or a column is not there, no row survives, there are too few authors
            or places to fill the splits, or the folder has changed and `rebuild` is not set.
    """
    source = Path(source)
    if not source.is_dir():
        raise ValueError(
            f"{source}: no such folder, expected photos (config.data.source, --source)"
        )
    if short_side is not None and short_side < 1:
        raise ValueError(f"short side {short_side}, expected 1 or more pixels (--short-side)")
    shares = check_fractions(fractions)
    check_name(name or _dataset_name(source), version)
    opened = open_folder(source, table, dict(columns or {}))
    for note in opened.notes:
        _log.info("%s", note)
    home = _home(Path(directory), source, name, version)
    memory = look_at(source, opened.named_files(), read_memory(_memory_file(home)), threads)
    description = {
        "folder": source.resolve().name,
        "table": opened.table_digest(),
        "columns": dict(columns or {}),
        "files": files_digest(memory),
        "fractions": dict(shares),
        "short_side": short_side,
        "near_copy_bits": near_copy_bits,
        "importer": IMPORTER,
    }
    if home.exists() and not rebuild:
        return _unchanged(home, memory, description, source)
    options = ImportOptions(shares, short_side, near_copy_bits, threads)
    written = import_folder(home, opened, memory, description, options)
    write_memory(_memory_file(home), memory)
    return written


def _home(directory: Path, source: Path, name: str | None, version: str) -> Path:
    """Where the dataset of a folder lies: two folders of the same name do not share a directory."""
    plain = name or _dataset_name(source)
    home = directory / plain / version
    root = look_at(source, (), None, 1).root
    memory = read_memory(_memory_file(home))
    if name is not None or memory is None or memory.root == root:
        return home
    suffix = hashlib.sha256(root.encode()).hexdigest()[:8]
    _log.info("%s is of another folder, so this dataset is called %s_%s", home, plain, suffix)
    return directory / f"{plain}_{suffix}" / version


def _memory_file(home: Path) -> Path:
    return home.parent / f".source-{home.name}.json"


def _unchanged(home: Path, memory: Memory, description: Mapping[str, Any], source: Path) -> Path:
    """A finished dataset of the same folder.

    Raises:
        ValueError: the folder or the options have changed; says how, and what to do.
    """
    found = read_manifest(home).source
    if found == description:
        write_memory(_memory_file(home), memory)
        _log.info("%s: already there", home)
        return home
    said = changes(home, memory, found if isinstance(found, dict) else {}, description)
    raise ValueError(
        f"{home}: this dataset was made from another state of {source}: {said}; to replace it: "
        f"python -m data.folder --source {source} --out {home.parent.parent} --name {home.parent.name} "
        f"--version {home.name} --rebuild; to keep it give another --version"
    )


def _dataset_name(source: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", source.resolve().name.lower()).strip("_")
    return name if name[:1].isalpha() else f"photos_{name}".rstrip("_")


@one_line_errors()
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m data.folder", description=__doc__)
    parser.add_argument("--source", required=True, help="the folder of photos")
    parser.add_argument("--out", required=True, help="where datasets lie")
    parser.add_argument("--name", help="of the dataset (default: the folder's)")
    parser.add_argument("--version", default=VERSION, help="of the dataset")
    parser.add_argument(
        "--table", help=f"table in the folder (default: one of {', '.join(TABLES)})"
    )
    for role, names in KNOWN_NAMES.items():
        parser.add_argument(f"--{role}-column", help=f"recognised: {', '.join(names)}")
    parser.add_argument(
        "--fractions",
        type=lambda text: [float(share) for share in text.split(",")],
        default=[0.8, 0.1, 0.1],
        metavar="A,B,C",
        help="shares of train, validation and test",
    )
    parser.add_argument("--short-side", type=int, help="largest short side in pixels")
    parser.add_argument(
        "--near-copy-bits",
        type=int,
        default=DEFAULT_BITS,
        help="hashes of near-identical photos, which stay in one split, differ in at most so many bits",
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="replace the dataset if the folder has changed"
    )
    parser.add_argument("--threads", type=int, default=4, help="files read at a time")
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    plain_logging()
    columns = {role: given[f"{role}_column"] for role in KNOWN_NAMES}
    prepare(
        given["out"],
        given["source"],
        name=given["name"],
        version=given["version"],
        table=given["table"],
        columns={role: column for role, column in columns.items() if column is not None},
        fractions=given["fractions"],
        short_side=given["short_side"],
        near_copy_bits=given["near_copy_bits"],
        rebuild=given["rebuild"],
        threads=given["threads"],
    )
