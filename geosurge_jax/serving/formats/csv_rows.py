"""Comma-separated values: one row a place."""

import csv
import re
from collections.abc import Iterable
from typing import TextIO

from geosurge_jax.serving.formats.record import Record, rows_of, warnings_of

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
# Spreadsheets take cells that begin like this for formulas. Some skip a leading tab or carriage return.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


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
        image, warnings = _cell(record["image"]), _cell("; ".join(warnings_of(record)))
        for row in rows_of(record):
            probability = "" if row.probability is None else f"{row.probability:.6g}"
            coordinates = (row.rank, row.latitude, row.longitude)
            writer.writerow((image, *coordinates, probability, _cell(row.place), "", warnings))
        if record["error"] is not None:
            writer.writerow((image, "", "", "", "", "", _cell(record["error"]), warnings))
        file.flush()


def _cell(text: str) -> str:
    """Returns a text that no spreadsheet takes for a formula, in characters that UTF-8 can hold."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
