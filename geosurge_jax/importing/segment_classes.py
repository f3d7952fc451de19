"""The classes of a segmenter, or of maps made elsewhere, as those of ADE20K."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geosurge_jax.dataset.ade20k import CLASSES, UNKNOWN, canonical, class_id, is_ade20k
from geosurge_jax.delimited.records import csv_records
from geosurge_jax.delimited.text import detect_encoding

COLUMNS = ["theirs", "ours"]
_FLAG = "(--class-table)"


def class_table(names: Sequence[str], path: Path | None, model: str) -> np.ndarray:
    """ADE20K's id of each class of a model, uint8 [C].

    Args:
        names: Of the C classes, in the order of their ids.
        path: A CSV file of `read_class_table`, None where the model's classes are ADE20K's.
        model: For messages.

    Raises:
        ValueError: The classes are others and there is no file, or it is not what it should be.
    """
    if path is not None:
        return read_class_table(path, names, len(names))
    if not is_ade20k(names):
        other = next(
            (i for i, name in enumerate(names[:150]) if canonical(name) != CLASSES[i]), None
        )
        found = f"{len(names)} classes"
        if other is not None:
            found += f", the class {other} is {names[other]!r} and not {CLASSES[other]!r}"
        raise ValueError(
            f"{model}: {found}, expected the 150 classes of ADE20K, or a file that says which is which "
            f"{_FLAG}"
        )
    return np.arange(len(CLASSES), dtype=np.uint8)


def read_class_table(path: Path, names: Sequence[str], count: int) -> np.ndarray:
    """Read a CSV file with the columns `theirs` and `ours`, each a name or an id.

    Classes that no row names become unknown (255), as do those whose `ours` is 255, "unknown" or empty.

    Args:
        path: The file.
        names: Their names in the order of their ids; empty where only ids are known.
        count: Number of their ids.

    Returns:
        ADE20K's id of each of their ids, uint8 [count].

    Raises:
        ValueError: The file cannot be read, or a row names a class that is not there, or one twice.
    """
    try:
        records = list(csv_records(path, detect_encoding(path)))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error}) {_FLAG}") from None
    header = records[0].fields if records else []
    if header != COLUMNS:
        raise ValueError(f"{path}: columns {header}, expected {COLUMNS} {_FLAG}")
    table = np.full(count, UNKNOWN, np.uint8)
    by_name = {name.strip().lower(): number for number, name in enumerate(names)}
    seen: set[int] = set()
    for record in records[1:]:
        try:
            if record.problem:
                raise ValueError(record.problem)
            named, ours = (record.fields + [""])[:2]
            theirs = _their_id(named, by_name, count)
            if theirs in seen:
                raise ValueError(f"their class {named!r} is named twice")
            table[theirs] = _our_id(ours)
        except ValueError as error:
            raise ValueError(f"{path}: line {record.line}: {error} {_FLAG}") from None
        seen.add(theirs)
    return table


def _their_id(text: str, by_name: dict[str, int], count: int) -> int:
    if text.isascii() and text.isdigit():
        if int(text) >= count:
            raise ValueError(f"their class {text}, expected 0 to {count - 1}")
        return int(text)
    if not by_name:
        raise ValueError(f"their class {text!r}, expected an id, as maps alone know no names")
    if text.lower() not in by_name:
        raise ValueError(f"their class {text!r}, expected an id or a name of the model's")
    return by_name[text.lower()]


def _our_id(text: str) -> int:
    if text in ("", "unknown", str(UNKNOWN)):
        return UNKNOWN
    if text.isascii() and text.isdigit():
        if int(text) >= len(CLASSES):
            raise ValueError(f"our class {text}, expected 0 to {len(CLASSES) - 1} or {UNKNOWN}")
        return int(text)
    return class_id(canonical(text))
