"""The cells file of the ISN family, one row a cell.

Columns: class_label, hex_id, imgs_per_cell, latitude_mean, longitude_mean. Some files carry two
lines above the header (`num_images`, `min_concept_probability`), some do not. The hex_id is an S2
token and is TEXT: spreadsheets take `47e63` for 4.7E+64 and `0994` for 994, and such damaged files
are in circulation. Each cell's mean location lies in the cell, which shows the damage and undoes
it.
"""

import csv
import io
import math
import os
from dataclasses import dataclass

import numpy as np

from geosurge_jax.delimited.records import csv_records
from geosurge_jax.delimited.text import detect_encoding
from geosurge_jax.geo.partition import Partition
from geosurge_jax.geo.s2 import (
    MAX_LEVEL,
    cell_tokens,
    leaf_ids,
    leaf_ranges,
    parent_ids,
    parse_token,
)
from geosurge_jax.geo.storage import atomic_file

COLUMNS = ("class_label", "hex_id", "imgs_per_cell", "latitude_mean", "longitude_mean")

_PREAMBLE_LINES = 2
_SPREADSHEET_PRECISION = 1e-14  # relative; spreadsheets keep 15 digits


@dataclass(frozen=True)
class _Cells:
    """The rows of a file, unchecked; counts are int64 [K] and mean locations float64 [K, 2]."""

    lines: list[int]
    tokens: list[str]
    counts: np.ndarray
    latlng: np.ndarray


def export_partition_csv(
    path: str | os.PathLike, partition: Partition, preamble: bool = False
) -> None:
    """Writes a partition as the family's CSV, atomically; class labels are our cell indices.

    Args:
        path: the file to write.
        partition: the cells.
        preamble: also write the two lines that ISN's training code skips.

    Raises:
        OSError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if preamble:
        writer.writerow(["num_images", int(partition.counts.sum())])
        writer.writerow(["min_concept_probability", 0.0])
    writer.writerow(COLUMNS)
    latlng = partition.latlng.tolist()  # Python floats print with all their digits
    for label, token in enumerate(cell_tokens(partition.ids)):
        writer.writerow([label, token, int(partition.counts[label]), *latlng[label]])
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())


def import_partition_csv(path: str | os.PathLike, repair: bool = False) -> Partition:
    """Reads the family's CSV, with or without preamble.

    The cells come in S2 order whatever their class labels say.

    Args:
        path: the file to read.
        repair: restore tokens that a spreadsheet has rewritten, instead of refusing the file. A
            token becomes the cell around the row's mean whose token, read as a number, gives what
            stands in the file; without one, the coarsest cell around the mean that overlaps no
            other.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no header, a value that does not parse, damaged tokens (without `repair`), a
            token that cannot be restored, or cells that overlap; one line that names the file, the
            line and the value.
    """
    cells = _read(path)
    try:
        leaves = leaf_ids(cells.latlng)
    except ValueError as error:
        raise ValueError(f"{path}: {error} (rows counted from 0 below the header)") from None
    ids = np.array([parse_token(token) or 0 for token in cells.tokens], np.uint64)
    first, last = leaf_ranges(ids)
    damaged = np.flatnonzero((ids == 0) | (leaves < first) | (leaves > last))
    if len(damaged):
        _check_not_swapped(path, cells, ids)
        if not repair:
            raise ValueError(_describe_damage(path, cells, damaged))
        ids = _repaired(path, cells, leaves, ids, damaged)
    order = np.argsort(ids)
    first, last = leaf_ranges(ids[order])
    overlaps = np.flatnonzero(first[1:] <= last[:-1])
    if len(overlaps):
        one, other = order[overlaps[0]], order[overlaps[0] + 1]
        raise ValueError(
            f"{path}: the cells of lines {cells.lines[one]} and {cells.lines[other]} "
            f"({cells.tokens[one]!r}, {cells.tokens[other]!r}) overlap, expected disjoint cells"
        )
    return Partition(ids[order], cells.counts[order], cells.latlng[order])


def _read(path: str | os.PathLike) -> _Cells:
    records = csv_records(path, detect_encoding(path))
    header: list[str] | None = None
    for count, record in enumerate(records):
        if count > _PREAMBLE_LINES:
            break
        if record.fields[:1] == [COLUMNS[0]]:
            header = record.fields
            break
    if header is None:
        raise ValueError(
            f"{path}: no header {','.join(COLUMNS)} in the first {_PREAMBLE_LINES + 1} lines"
        )
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise ValueError(f"{path}: the header lacks {', '.join(missing)}")
    place = [header.index(column) for column in COLUMNS[1:]]
    lines, tokens, counts, latlng = [], [], [], []
    for record in records:
        try:
            token, number, latitude, longitude = (record.fields[index] for index in place)
            counts.append(int(number))
            latlng.append((float(latitude), float(longitude)))
        except (IndexError, ValueError):
            shown = record.problem or repr(",".join(record.fields)[:200])
            raise ValueError(
                f"{path}, line {record.line}: {shown} is not a row of {','.join(header)}"
            ) from None
        lines.append(record.line)
        tokens.append(token)
    if not lines:
        raise ValueError(f"{path}: no cell below the header")
    return _Cells(lines, tokens, np.array(counts, np.int64), np.array(latlng, np.float64))


def _check_not_swapped(path: str | os.PathLike, cells: _Cells, ids: np.ndarray) -> None:
    """Raise ValueError if sound tokens contain their mean location only with its columns swapped."""
    swapped = cells.latlng[:, ::-1]
    sound = np.flatnonzero((ids != 0) & (np.abs(swapped[:, 0]) <= 90))
    first, last = leaf_ranges(ids[sound])
    leaves, exchanged = leaf_ids(cells.latlng[sound]), leaf_ids(swapped[sound])
    inside, fits = (first <= leaves) & (leaves <= last), (first <= exchanged) & (exchanged <= last)
    proofs = sound[fits & ~inside]
    if len(proofs):
        row = proofs[0]
        raise ValueError(
            f"{path}, line {cells.lines[row]}: hex_id {cells.tokens[row]!r} contains its mean location "
            f"only if {COLUMNS[3]} and {COLUMNS[4]} are swapped, as in {len(proofs)} of "
            f"{len(cells.lines)} rows; expected the "
            "columns the other way round (exchange their names in the header)"
        )


def _describe_damage(path: str | os.PathLike, cells: _Cells, damaged: np.ndarray) -> str:
    examples = ", ".join(f"line {cells.lines[row]} {cells.tokens[row]!r}" for row in damaged[:5])
    more = ", ..." if len(damaged) > 5 else ""
    return (
        f"{path}: {len(damaged)} of {len(cells.lines)} hex_id are not the S2 token of a cell "
        f"around their mean location, as after a spreadsheet ({examples}{more}); "
        "repair=True (--repair) restores them"
    )


def _repaired(
    path: str | os.PathLike,
    cells: _Cells,
    leaves: np.ndarray,
    ids: np.ndarray,
    damaged: np.ndarray,
) -> np.ndarray:
    """S2 ids, uint64 [K], with those of the damaged rows restored."""
    ids = ids.copy()
    ids[damaged] = leaves[damaged]  # until restored, a damaged row claims its mean location alone
    first, last = leaf_ranges(ids)
    for row in damaged:
        candidates = _candidates(cells.tokens[row], leaves[row : row + 1])
        for cell, start, end in zip(candidates, *leaf_ranges(candidates), strict=True):
            if np.sum((first <= end) & (last >= start)) == 1:  # it meets the row itself alone
                ids[row], first[row], last[row] = cell, start, end
                break
        else:
            raise ValueError(
                f"{path}, line {cells.lines[row]}: hex_id {cells.tokens[row]!r} cannot be "
                "repaired, every cell around its mean location overlaps another cell"
            )
    return ids


def _candidates(token: str, leaf: np.ndarray) -> np.ndarray:
    """Cells, uint64 [N], around a leaf [1] that a damaged token may have meant, coarse to fine."""
    around = np.concatenate([parent_ids(leaf, level) for level in range(MAX_LEVEL + 1)])
    number = _as_number(token)
    if number is None:
        return around
    originals = [_as_number(original) for original in cell_tokens(around)]
    alike = [
        original is not None and math.isclose(original, number, rel_tol=_SPREADSHEET_PRECISION)
        for original in originals
    ]
    return around[alike] if any(alike) else around


def _as_number(text: str) -> float | None:
    """What a spreadsheet reads in `text`; None where it sees no number and leaves it alone."""
    try:
        return float(text)
    except ValueError:
        return None
