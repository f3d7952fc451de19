"""Entries of the JSON files beside the weights, checked where they are read."""

from collections.abc import Mapping, Sequence
from typing import Any

from geosurge_jax.interop.family import WeightsError

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
