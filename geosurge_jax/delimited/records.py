"""Read CSV one record at a time, so that a broken row costs that row alone."""

import csv
import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from geosurge_jax.delimited.text import TextEncoding, open_text

MAX_FIELD_CHARACTERS = 1 << 24
"""Longest quoted field. It bounds how far a quote that is never closed is followed."""

_DELIMITERS = ",;\t"
csv.field_size_limit(MAX_FIELD_CHARACTERS)  # a global setting of the module csv: set here alone


@dataclass(frozen=True)
class Record:
    """One record of a CSV file.

    Attributes:
        line: Number of its first line, counted from 1.
        fields: Its fields, stripped; empty if the record is broken.
        problem: Why the record cannot be read, empty if it can.
    """

    line: int
    fields: list[str]
    problem: str = ""


def csv_records(
    path: str | os.PathLike, encoding: TextEncoding, delimiter: str | None = None
) -> Iterator[Record]:
    """Yield the records of a CSV file, the header first.

    The delimiter is the most frequent one of comma, semicolon and tab in the header, or the one that a first
    line such as `sep=;` names. Records without any value are skipped.

    A quoted field may span lines. If a quote is not closed properly, its first line becomes a record with a
    problem, and reading continues on the next line.

    Args:
        path: The file.
        encoding: What `detect_encoding` returned for the file.
        delimiter: None = found in the first line as described above.

    Raises:
        OSError: The file cannot be read.
    """
    with open_text(path, encoding) as file:
        lines = _Lines(iter(file))
        first = next(lines, "")
        named = re.fullmatch(r'"?sep=(.)"?\s*', first, re.IGNORECASE)
        if not named:
            lines.give_back([first])
        unquoted = re.sub(r'"[^"]*"', "", first)
        frequent = max(_DELIMITERS, key=unquoted.count)
        chosen = delimiter or (named[1] if named else frequent)
        width = None
        for line in lines:
            record = _record(line, lines, chosen, width)
            if record.problem or any(record.fields):
                width = width or len(record.fields)
                yield record


class _Lines:
    """Lines of a file, numbered, of which some can be given back."""

    def __init__(self, lines: Iterator[str]):
        self._lines, self._returned = lines, deque[str]()
        self.number = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines)
        self.number += 1
        return line

    def give_back(self, lines: list[str]) -> None:
        self._returned.extendleft(reversed(lines))
        self.number -= len(lines)


def _record(line: str, lines: _Lines, delimiter: str, width: int | None) -> Record:
    """The record that begins with `line`; takes further lines if a quoted field spans them."""
    number = lines.number
    if '"' not in line:
        return Record(number, [field.strip() for field in line.split(delimiter)])
    taken = [line]

    def further() -> Iterator[str]:
        yield line
        for following in lines:
            taken.append(following)
            yield following

    try:
        fields = next(csv.reader(further(), delimiter=delimiter, strict=True))
        problem = "" if _is_sound(fields, taken, delimiter, width) else "a field spans lines"
    except csv.Error as error:
        fields, problem = [], str(error)
    if not problem:
        return Record(number, [field.strip() for field in fields])
    lines.give_back(taken[1:])
    return Record(number, [], f"quote: not closed properly from line {number} on ({problem})")


def _is_sound(fields: list[str], taken: list[str], delimiter: str, width: int | None) -> bool:
    """Return False if a record of several lines is more likely several rows with a stray quote."""
    if len(taken) == 1 or width is None:
        return True
    complete = all(line.count(delimiter) == width - 1 for line in taken)
    return len(fields) == width and not (complete and width > 1)
