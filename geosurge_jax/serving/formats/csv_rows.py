"""Comma-separated values: one row a place."""

import csv
from collections.abc import Iterable
from typing import TextIO

from geosurge_jax.serving.formats.record import Record, rows_of, warnings_of
from geosurge_jax.untrusted_text import csv_cell

COLUMNS = (
    "image",
    "rank",
    "latitude",
    "longitude",
    "probability",
    "place",
    "error",
    "warnings",
)


def write_csv(records: Iterable[Record], file: TextIO) -> None:
    """Writes a header and one row a place, or one row with an error; flushes after each image.

    Args:
        records: results, consumed one at a time.
        file: text file, opened with `newline=""`.

    Raises:
        OSError: the file cannot be written.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        image, warnings = csv_cell(record["image"]), csv_cell("; ".join(warnings_of(record)))
        for row in rows_of(record):
            probability = "" if row.probability is None else f"{row.probability:.6g}"
            coordinates = (row.rank, row.latitude, row.longitude)
            writer.writerow((image, *coordinates, probability, csv_cell(row.place), "", warnings))
        if record["error"] is not None:
            writer.writerow((image, "", "", "", "", "", csv_cell(record["error"]), warnings))
        file.flush()
