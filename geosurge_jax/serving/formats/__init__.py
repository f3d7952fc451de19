"""How predictions are written: one writer a format, each of which holds a bounded number of results."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from geosurge_jax.serving.formats.csv_rows import write_csv
from geosurge_jax.serving.formats.geojson import write_geojson
from geosurge_jax.serving.formats.json_lines import write_jsonl
from geosurge_jax.serving.formats.kml import write_kml
from geosurge_jax.serving.formats.record import Record, records
from geosurge_jax.serving.formats.table import write_table

if TYPE_CHECKING:
    from geosurge_jax.serving.prediction import Outcome

__all__ = ["FORMATS", "Record", "Writer", "records", "write_file", "write_outcomes"]

Writer = Callable[[Iterable[Record], TextIO], None]

FORMATS: dict[str, Writer] = {
    "table": write_table,
    "csv": write_csv,
    "jsonl": write_jsonl,
    "geojson": write_geojson,
    "kml": write_kml,
}


def write_outcomes(name: str, outcomes: "Iterable[Outcome]", k: int, file: TextIO) -> None:
    """Writes outcomes with their k most likely candidates as they come.

    Args:
        name: name in `FORMATS`.
        outcomes: predictions and failures, consumed lazily.
        k: candidates of each image.
        file: text file.

    Raises:
        OSError: the file cannot be written.
    """
    FORMATS[name](records(outcomes, k), file)


def write_file(name: str, results: Iterable[Record], path: Path) -> None:
    """Writes a file that appears whole or not at all.

    Args:
        name: name in `FORMATS`.
        results: consumed lazily.
        path: file to write; replaced where it exists.

    Raises:
        OSError: the file cannot be written.
    """
    # NumPy comes with `geo`, and the help of the command has to appear at once.
    from geosurge_jax.geo import atomic_file

    with atomic_file(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        FORMATS[name](results, text)
        text.flush()
        text.detach()
