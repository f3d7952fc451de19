"""Files that others made: only plain files are opened, and no more of them is read than is bearable."""

import json
import mmap
import stat
from pathlib import Path
from typing import Any

from geosurge_jax.interop.family import WeightsError

JSON_LIMIT = 10_000_000  # bytes; the largest index or header that is known has about a tenth of it
_SHOWN = 80
_KINDS = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}


def quoted(text: object) -> str:
    """Text from a foreign file as it may stand in a message: short, and without control characters."""
    shown = repr(text[:_SHOWN] if isinstance(text, str | bytes) else text)
    return shown if len(shown) <= 2 * _SHOWN else f"{shown[: 2 * _SHOWN]}..."


def map_file(path: Path) -> memoryview:
    """Maps a file read-only; its bytes are read from the disk when they are looked at.

    The map holds as long as a view of it does. As with every memory map, a file that another process cuts
    short meanwhile ends this process at the next look.

    Raises:
        WeightsError: it is missing, empty, or no plain file.
    """
    size = _plain_size(path)
    if not size:
        raise WeightsError(f"{path}: is empty, weights were expected")
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object of at most JSON_LIMIT bytes.

    Raises:
        WeightsError: it is missing, no plain file, too large, or not one JSON object.
    """
    size = _plain_size(path)
    if size > JSON_LIMIT:
        raise WeightsError(f"{path}: {size} bytes of JSON, at most {JSON_LIMIT} are read")
    try:
        with path.open("rb") as file:
            content = file.read(JSON_LIMIT)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    return parse_json(content, str(path))


def parse_json(content: bytes, source: str) -> dict[str, Any]:
    """Parses one JSON object, in which no name may stand twice.

    Args:
        content: UTF-8.
        source: where it stands, for messages.

    Raises:
        WeightsError: it is no such thing.
    """
    try:
        parsed = json.loads(content.decode(), object_pairs_hook=_without_twins)
    except RecursionError as error:
        raise WeightsError(f"{source}: JSON nested too deeply to be read") from error
    except ValueError as error:
        raise WeightsError(f"{source}: not valid JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise WeightsError(f"{source}: JSON {type(parsed).__name__}, an object was expected")
    return parsed


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{quoted(name)} stands twice in one object")
        found[name] = value
    return found


def _plain_size(path: Path) -> int:
    # Before it is opened: to open a pipe waits for its writer, and to open a device may move it.
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
        raise WeightsError(f"{path}: is {kind}, a plain file was expected")
    return status.st_size
