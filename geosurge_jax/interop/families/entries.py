"""Entries of the JSON files beside the weights, checked where they are read."""

from collections.abc import Mapping, Sequence
from typing import Any

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"


def one_of(
    file: str, entries: Mapping[str, Any], name: str, allowed: Sequence[Any], default: Any
) -> Any:
    """Reads an entry of which only some values are supported.

    Args:
        file: name of the file, for the message.
        entries: its content.
        name: of the entry.
        allowed: the supported values.
        default: what the file's library takes where the entry is missing.

    Returns:
        The value.

    Raises:
        WeightsError: another value; names file, entry and value.
    """
    value = entries.get(name, default)
    if value not in allowed:
        expected = repr(allowed[0]) if len(allowed) == 1 else f"one of {[*allowed]}"
        raise WeightsError(f"{file}: {name}={value!r} is not supported: expected {expected}")
    return value


def square(file: str, entries: Mapping[str, Any], name: str, default: int) -> int:
    """Reads the side of a square, kept as one number or as two that are equal.

    Args:
        file: name of the file, for the message.
        entries: its content.
        name: of the entry.
        default: side in pixels where it is missing.

    Returns:
        Side in pixels.

    Raises:
        WeightsError: not a square, or not a number of pixels.
    """
    value = entries.get(name, default)
    sides: list[Any] = [value]
    if isinstance(value, Mapping) and {*value} == {"height", "width"}:
        sides = [value["height"], value["width"]]
    elif isinstance(value, list | tuple) and len(value) in (1, 2):
        sides = [*value]
    if any(isinstance(x, bool) or not isinstance(x, int) or x < 1 or x != sides[0] for x in sides):
        raise WeightsError(f"{file}: {name}={value!r} is not supported: expected a square")
    return sides[0]


def with_defaults(entries: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Reads config.json: what it says, and what its library takes where it says nothing.

    Args:
        entries: config.json, or the part of it that describes a tower; None for an empty one.
        defaults: by entry; a value is to be of the same type, an int may stand for a float.

    Raises:
        WeightsError: an entry of another type.
    """
    entries = {} if entries is None else entries
    if not isinstance(entries, Mapping):
        raise WeightsError(f"{CONFIG}: {quoted(entries)}: expected the description of a tower")
    values = {
        **entries,
        **{name: value for name, value in defaults.items() if entries.get(name) is None},
    }
    for name, default in defaults.items():
        fine = (int, float) if isinstance(default, float) else (type(default),)
        if type(values[name]) not in fine:
            expected = type(default).__name__
            raise WeightsError(f"{CONFIG}: {name}={quoted(values[name])}: expected {expected}")
    return values
