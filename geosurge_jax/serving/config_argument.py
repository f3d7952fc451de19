"""Checks `--config` and its overrides before they are parsed, to suggest what a misspelled one meant."""

import difflib
import re
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geosurge_jax.command_end import PACKAGE
from geosurge_jax.experiment.config_types import ConfigError

_OVERRIDE = re.compile(r"--?(?:no)?config\.(?P<key>[^=]+)")


def check_config_arguments(arguments: Sequence[str]) -> None:
    """Checks that the config file is there and has every key that is overridden.

    Args:
        arguments: the command line without the program.

    Raises:
        ConfigError: no such file or key; one line with the closest one.
    """
    given = _config_value(arguments)
    if given is None:
        return
    name, *variant = given.split(":", 1)
    if not Path(name).is_file():
        raise ConfigError(f"--config={given}: no such file{_similar_file(name, variant)}")
    keys = [match["key"] for one in arguments if (match := _OVERRIDE.match(one))]
    if keys:
        config = runpy.run_path(name)["get_config"](*variant).to_dict()
        for key in keys:
            check_key(config, key)


def check_key(config: Mapping[str, Any], key: str) -> None:
    """Checks that a config has a key.

    Args:
        config: nested mappings.
        key: names with dots between, `training.batch_size`.

    Raises:
        ConfigError: it has not; one line with the closest key, or those that there are.
    """
    names = [name.partition("[")[0] for name in key.split(".")]
    section: Any = config
    for depth, name in enumerate(names):
        if isinstance(section, Mapping) and name in section:
            section = section[name]
            continue
        above = ".".join(["config", *names[:depth]])
        if not isinstance(section, Mapping):
            raise ConfigError(f"--config.{key}: no such key; {above} is a value without keys")
        meant = closest_key(config, names)
        known = f"expected one of {', '.join(sorted(section))}"
        raise ConfigError(
            f"--config.{key}: no such key; "
            + (f"did you mean --config.{meant}?" if meant else f"{above}: {known}")
        )


def closest_key(config: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the key that is most like a misspelled one, part by part; None where none is like it."""
    found: list[str] = []
    section: Any = config
    for name in names:
        if not isinstance(section, Mapping):
            break
        close = difflib.get_close_matches(name, section, n=1)
        if not close:
            everywhere = {key.rpartition(".")[2]: key for key in _all_keys(config)}
            close = difflib.get_close_matches(name, everywhere, n=1)
            return everywhere[close[0]] if close else None
        found.append(close[0])
        section = section[close[0]]
    return ".".join(found)


def _all_keys(config: Mapping[str, Any], above: str = "") -> list[str]:
    keys = []
    for name, value in config.items():
        keys.append(above + name)
        if isinstance(value, Mapping):
            keys += _all_keys(value, f"{above}{name}.")
    return keys


def _config_value(arguments: Sequence[str]) -> str | None:
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in ("--config", "-config"):
            return value if equals else next(iter(arguments[place + 1 :]), None)
    return None


def _similar_file(name: str, variant: Sequence[str]) -> str:
    """Return a suggestion of a config file of the current folder, or of the one beside this package."""
    for root in (Path(), PACKAGE.parent):
        files = {path.stem: path for path in sorted((root / "configs").glob("*.py"))}
        close = difflib.get_close_matches(Path(name).stem, files, n=1)
        if close:
            return f"; did you mean {':'.join([files[close[0]].as_posix(), *variant])}?"
    return "; expected the path of a Python file, optionally with :variant"
