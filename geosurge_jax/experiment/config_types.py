"""The config boundary: a ConfigDict goes in, frozen dataclasses come out, and nothing below sees a dict."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from geosurge_jax.experiment.config_ranges import ConfigError, check_range

__all__ = ["ConfigError", "convert", "flat_items", "from_mapping"]

T = TypeVar("T")


def from_mapping(kind: type[T], values: Mapping[str, Any], key: str) -> T:
    """Builds a dataclass from nested mappings, strictly.

    Args:
        kind: a dataclass whose fields are scalars, tuples, dataclasses, or one of several dataclasses of
            which the value of `kind` chooses the one whose `KINDS` hold it.
        values: one entry for each field.
        key: the mapping's own place, `config.system` for example; used in messages.

    Returns:
        The dataclass.

    Raises:
        ConfigError: a field that is missing, unknown or of the wrong type.
        ValueError: whatever the dataclass itself objects to.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # pyright: ignore[reportArgumentType]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ConfigError(f"{key}.{unknown[0]}: unknown; expected the keys {names}")
    missing = [name for name in names if name not in values]
    if missing:
        raise ConfigError(f"{key}.{missing[0]}: missing")
    return kind(**{name: convert(hints[name], values[name], f"{key}.{name}") for name in names})


def convert(hint: Any, value: Any, key: str) -> Any:
    """Return a value as the type that a field has.

    Args:
        hint: the field's type.
        value: from a config file or the command line.
        key: its place, used in messages.

    Raises:
        ConfigError: of another type, or a number that is not in its range, see `config_ranges`.
        ValueError: whatever a dataclass inside objects to.
    """
    origin = typing.get_origin(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key}={value!r}: expected a mapping")
        return from_mapping(hint, value, key)
    if origin is types.UnionType:
        return convert(_of_kind(typing.get_args(hint), value, key), value, key)
    if origin is tuple:
        items = typing.get_args(hint)
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{key}={value!r}: expected a tuple")
        if items[-1] is Ellipsis:
            return tuple(convert(items[0], item, f"{key}[{i}]") for i, item in enumerate(value))
        if len(items) != len(value):
            raise ConfigError(f"{key}={tuple(value)!r}: expected {len(items)} values")
        return tuple(
            convert(item_hint, item, f"{key}[{i}]")
            for i, (item_hint, item) in enumerate(zip(items, value, strict=True))
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    assert isinstance(hint, type), f"{key}: no rule for fields of type {hint}"
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{key}={value!r}: expected {hint.__name__}, got {type(value).__name__}")
    if hint in (int, float):
        check_range(key, value)
    return value


def _of_kind(classes: tuple[Any, ...], value: Any, key: str) -> Any:
    """The dataclass whose `KINDS` hold the mapping's `kind`."""
    kind = value.get("kind") if isinstance(value, Mapping) else None
    for one in classes:
        if kind in one.KINDS:
            return one
    kinds = [name for one in classes for name in one.KINDS]
    raise ConfigError(f"{key}.kind={kind!r}: expected one of {kinds}")


def flat_items(values: Mapping[str, Any], key: str = "config") -> dict[str, Any]:
    """Nested mappings to `{"config.a.b": value}`, lists as tuples, for comparing two configs."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{key}.{name}"
        if isinstance(value, Mapping):
            flat.update(flat_items(value, path))
        else:
            flat[path] = tuple(value) if isinstance(value, list) else value
    return flat
