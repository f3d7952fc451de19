"""A finished dataset -> a new one beside it whose records have class maps of ADE20K's 150 classes.

    python -m data.segment --dataset DIR --out DIR --model DIR|hf:ORG/NAME
    python -m data.segment --dataset DIR --out DIR --model DIR|hf:ORG/NAME --library transformers
    python -m data.segment --dataset DIR --out DIR --maps FOLDER

One shard of the dataset becomes one shard of the new one: the same records in the same order, and all of them
but the map the same bytes. A run that was interrupted goes on where it is started again; several processes
share the shards (--process, --processes). Photos that cannot be decoded, and records without a file among the
maps, have no map and are counted.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geosurge_jax.command_end import one_line_errors, plain_logging
from geosurge_jax.dataset.ade20k import CLASSES
from geosurge_jax.dataset.manifest import MANIFEST_FILE, file_sha256
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.dataset.rewriting import Change, Result, Rewrite
from geosurge_jax.importing.segment_classes import class_table
from geosurge_jax.importing.segment_files import FileMaps

MAKER = 1
"""Raised when the same model and photos would give other maps."""
SHORT_SIDE = 168
"""Half of the 336 pixels that the widest towers see."""
LIBRARIES = ("native", "transformers")

_log = logging.getLogger(__name__)


def segment(
    dataset: str | Path,
    out: str | Path,
    *,
    model: str | None = None,
    maps: str | Path | None = None,
    library: str = LIBRARIES[0],
    class_table_file: str | Path | None = None,
    name: str | None = None,
    short_side: int = SHORT_SIDE,
    batch_size: int = 16,
    threads: int = 4,
    process: int = 0,
    processes: int = 1,
) -> Result:
    """Make a dataset with class maps from one that is finished.

    Args:
        dataset: The finished one's directory.
        out: Where datasets lie.
        model: A segmenter's directory, or "hf:ORG/NAME" with an optional "@REVISION".
        maps: In its place a folder of PNG files, see `FileMaps`.
        library: What runs the model, a name in `LIBRARIES`.
        class_table_file: CSV with the columns theirs and ours, for classes other than ADE20K's.
        name: Of the new dataset; None = the old one's with `_maps`.
        short_side: Of a map in pixels, at most.
        batch_size: Photos segmented at a time.
        threads: Photos decoded, or files read, at a time.
        process: Which of the processes this is, from 0.
        processes: How many share the work.

    Raises:
        ValueError: The dataset, the model, the maps or an option is not what it should be; one line.
    """
    for flag, value in (("--short-side", short_side), ("--batch-size", batch_size)):
        if value < 1:
            raise ValueError(f"{flag}={value}: expected 1 or more")
    if (model is None) == (maps is None):
        raise ValueError("expected either a model or a folder of maps (--model, --maps)")
    opened = open_dataset(dataset)
    opened.check_photos("--dataset")
    file = None if class_table_file is None else Path(class_table_file)
    made: dict[str, Any] = {"maker": MAKER, "class_table": None if file is None else _digest(file)}
    if model is None:
        found = FileMaps(Path(str(maps)), file, threads)
        change: Change = found
        made |= {"maps": found.identity}
    else:
        change, described = _model_maps(model, library, file, short_side, batch_size, threads)
        made |= {"model": described}
    old = opened.manifest
    digest = file_sha256(opened.directory / MANIFEST_FILE)
    rewrite = Rewrite(
        dataset=opened,
        out=Path(out),
        name=name or f"{old.name}_maps",
        classes=CLASSES,
        source={
            "dataset": {"name": old.name, "version": old.version, "manifest": digest},
            "segmentation": made,
        },
        process=process,
        processes=processes,
    )
    result = rewrite.run(change, f"segmenting {old.name}")
    _report(result, rewrite)
    return result


def _model_maps(
    model: str, library: str, file: Path | None, short_side: int, batch_size: int, threads: int
) -> tuple[Change, Any]:
    """The maps of a model, and what decides them and makes the same maps of new images later."""
    from geosurge_jax.importing.segment_model import ModelMaps, NativeSegmenter

    if library == "native":
        segmenter = NativeSegmenter(model, batch_size, short_side)
    elif library == "transformers":
        from geosurge_jax.importing.segment_library import LibrarySegmenter

        segmenter = LibrarySegmenter(model)
    else:
        raise ValueError(f"--library={library!r}: expected one of {', '.join(LIBRARIES)}")
    table = class_table(segmenter.class_names, file, f"--model={model!r}")
    described = {
        "source": model,
        "library": library,
        "identity": segmenter.identity,
        "class_table": table.tolist(),
        "short_side": short_side,
    }
    return ModelMaps(segmenter, table, batch_size, short_side, threads), described


def _digest(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path}: no such file (--class-table)")
    return file_sha256(path)


def _report(result: Result, rewrite: Rewrite) -> None:
    counts = result.counts
    if not result.finished:
        _log.info("%s: this process is done, others have shards to write", result.directory)
        return
    if not counts.made and not counts.without:
        _log.info("%s: already there", result.directory)
        return
    mean = counts.made_bytes / max(counts.made, 1)
    total = sum(shard.records for _, shard in rewrite.shards())
    _log.info(
        "%s: %d records, %d maps of %.0f bytes each on average",
        result.directory, total, counts.made, mean,
    )  # fmt: skip
    for problem, count in sorted(counts.without.items()):
        _log.warning("%d records without a map: %s", count, problem)


@one_line_errors(resumes=True)
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m data.segment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", required=True, help="a finished dataset's directory")
    parser.add_argument("--out", required=True, help="where datasets lie")
    parser.add_argument("--model", help="a segmenter's directory, or hf:ORG/NAME[@REVISION]")
    parser.add_argument("--maps", help="in place of a model: a folder of PNG files, ID.png")
    parser.add_argument("--library", default=LIBRARIES[0], choices=LIBRARIES, help="runs the model")
    parser.add_argument(
        "--class-table", metavar="FILE.csv", help="columns theirs,ours, where classes are others"
    )
    parser.add_argument("--name", help="of the new dataset (default: the old one's with _maps)")
    parser.add_argument("--short-side", type=int, default=SHORT_SIDE, help="of a map in pixels")
    parser.add_argument("--batch-size", type=int, default=16, help="photos segmented at a time")
    parser.add_argument("--threads", type=int, default=4, help="photos decoded at a time")
    parser.add_argument("--process", type=int, default=0, help="which of several this is, from 0")
    parser.add_argument("--processes", type=int, default=1, help="that share the shards")
    given = parser.parse_args(arguments)
    plain_logging()
    segment(
        given.dataset,
        given.out,
        model=given.model,
        maps=given.maps,
        library=given.library,
        class_table_file=given.class_table,
        name=given.name,
        short_side=given.short_side,
        batch_size=given.batch_size,
        threads=given.threads,
        process=given.process,
        processes=given.processes,
    )
