"""Whether a folder of images is still the one that a dataset was made from, by names and contents."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geosurge_jax.geo import atomic_file
from geosurge_jax.threads import in_threads
from geosurge_jax.untrusted_text import csv_cell, printable, readable_file_name

FILES_FILE = "imported-files.csv"
"""In a dataset: path and SHA-256 of each file that it was made from."""

_UNREADABLE = "unreadable"
_BLOCK = 2**20
_NAMED = 3  # files named in a message


@dataclass(frozen=True)
class Memory:
    """What an earlier import kept of a folder, beside the dataset; it saves reading unchanged files.

    Attributes:
        root: absolute path of the folder.
        files: path -> (bytes, time of change in nanoseconds, SHA-256).
    """

    root: str
    files: Mapping[str, tuple[int, int, str]]


def read_memory(path: Path) -> Memory | None:
    """Reads what `write_memory` wrote; None where there is nothing that can be used."""
    try:
        found = json.loads(path.read_bytes())
        files = {str(name): (int(s), int(t), str(h)) for name, (s, t, h) in found["files"].items()}
        return Memory(str(found["root"]), files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_memory(path: Path, memory: Memory) -> None:
    """Writes a memory atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(json.dumps({"root": memory.root, "files": dict(memory.files)}).encode())


def look_at(folder: Path, names: Iterable[str], memory: Memory | None, threads: int) -> Memory:
    """Hashes files, except those whose size and time of change are the remembered ones.

    Args:
        folder: where they lie.
        names: their paths, relative to it.
        memory: of an earlier look; one of another folder is not used.
        threads: files read at a time.
    """
    root = readable_file_name(os.path.realpath(folder))
    known = memory.files if memory is not None and memory.root == root else {}

    def look(name: str) -> tuple[str, tuple[int, int, str]]:
        readable = readable_file_name(name)
        return readable, _state(folder / name, known.get(readable))

    return Memory(root, dict(in_threads(look, sorted(names), threads)))


def _state(path: Path, known: tuple[int, int, str] | None) -> tuple[int, int, str]:
    try:
        status = os.stat(path)
        if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
            return known
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return status.st_size, status.st_mtime_ns, digest.hexdigest()
    except (OSError, ValueError):
        return -1, -1, _UNREADABLE


def files_digest(memory: Memory) -> str:
    """Returns a digest of the names and contents of all files."""
    digest = hashlib.sha256()
    for name, (_, _, content) in sorted(memory.files.items()):
        digest.update(f"{name}\t{content}\n".encode())
    return digest.hexdigest()


def files_csv(memory: Memory) -> bytes:
    """Returns the content of `FILES_FILE`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "sha256"))
    for name, (_, _, content) in sorted(memory.files.items()):
        writer.writerow((csv_cell(name), content))
    return text.getvalue().encode()


def changes(dataset: Path, memory: Memory, found: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns in words what differs between a folder and the dataset that was made from it.

    Args:
        dataset: the dataset's directory.
        memory: the folder's files.
        found: the dataset's source, as its manifest says.
        now: the same of the folder.
    """
    differing = [key for key in {**found, **now} if found.get(key) != now.get(key)]
    said = []
    for key in differing:
        if key == "files":
            said.append(_changed_files(dataset, memory))
        elif key == "table":
            said.append("the table has changed")
        elif key == "importer":
            said.append("it was made by another version of this program")
        else:
            said.append(f"{key} was {found.get(key)!r} and is now {now.get(key)!r}")
    return "; ".join(said)


def _changed_files(dataset: Path, memory: Memory) -> str:
    try:
        with (dataset / FILES_FILE).open(newline="", encoding="utf-8") as file:
            before = {row["file"]: row["sha256"] for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError):
        return "files have changed"
    after = {csv_cell(name): content for name, (_, _, content) in memory.files.items()}
    kinds = {
        "added": [name for name in after if name not in before],
        "removed": [name for name in before if name not in after],
        "changed": [name for name in after if name in before and before[name] != after[name]],
    }
    return ", ".join(f"{len(n):,} {kind} ({_named(n)})" for kind, n in kinds.items() if n)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(printable(name) for name in names[:_NAMED]) + more
