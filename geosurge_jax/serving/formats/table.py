"""A table for people: drawn by rich on a terminal, plain aligned text elsewhere."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from geosurge_jax.serving.formats.record import Record, rows_of, warnings_of
from geosurge_jax.untrusted_text import printable

HEADER = ("image", "rank", "latitude", "longitude", "probability", "place")
_NUMBERS = ("rank", "latitude", "longitude", "probability")
# Widths are found for so many images at a time, so that memory is bounded.
_BLOCK = 100


def write_table(records: Iterable[Record], file: TextIO) -> None:
    """Writes one line a place, a header, and each warning once at the end.

    Args:
        records: results, consumed in blocks of 100 images.
        file: text file; a terminal gets a drawn table.

    Raises:
        OSError: the file cannot be written.
    """
    remaining, warnings = iter(records), Counter[str]()
    widths, placed = [0] * len(HEADER), False
    while block := list(islice(remaining, _BLOCK)):
        for record in block:
            warnings.update(warnings_of(record))
        lines = [cells for record in block for cells in _lines(record)]
        placed |= any(record["error"] is None for record in block)
        if file.isatty():
            _draw(lines, file)
        else:
            first = not any(widths)
            widths = [
                max(len(text) for text in column) for column in zip(HEADER, *lines, strict=True)
            ]
            _write_aligned([HEADER, *lines] if first else lines, widths, file)
        file.flush()
    if placed:
        file.write("Probabilities are not calibrated.\n")
    for text, count in warnings.items():
        file.write(f"warning: {printable(text)} ({count} {'image' if count == 1 else 'images'})\n")


def _lines(record: Record) -> Iterator[tuple[str, ...]]:
    name = printable(record["image"])
    if record["error"] is not None:
        reason = record["error"].removeprefix(f"{record['image']}: ")
        yield name, "", "", "", "", f"error: {printable(reason)}"
    for row in rows_of(record):
        chance = "-" if row.probability is None else f"{row.probability:.2%}"
        place = (f"{row.latitude:.4f}", f"{row.longitude:.4f}", chance, printable(row.place))
        yield name, str(row.rank), *place
        name = ""  # once an image


def _draw(lines: Iterable[tuple[str, ...]], file: TextIO) -> None:
    table = Table()
    for heading in HEADER:
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    for cells in lines:
        table.add_row(*(Text(cell) for cell in cells))  # no markup in file names
    console = Console(file=file)
    # Written through `file`, which is a proxy while a progress bar is on the same terminal.
    with console.capture() as drawn:
        console.print(table)
    file.write(drawn.get())


def _write_aligned(lines: Iterable[tuple[str, ...]], widths: list[int], file: TextIO) -> None:
    for cells in lines:
        aligned = [
            cell.rjust(width) if heading in _NUMBERS else cell.ljust(width)
            for heading, cell, width in zip(HEADER, cells, widths, strict=True)
        ]
        file.write("  ".join(aligned).rstrip() + "\n")
