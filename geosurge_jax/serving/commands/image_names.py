"""From the command's arguments to the names of image files."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from geosurge_jax.input.image_files import list_images

STDIN = "-"


@dataclass(frozen=True)
class NamedImages:
    """Images that arguments of a command name.

    Attributes:
        names: names of files, each once, in the order of the arguments.
        skipped: reason -> number of files in folders that are no images.
    """

    names: tuple[str, ...]
    skipped: Counter[str]


def image_names(arguments: Sequence[str], stdin: BinaryIO, maps: Path | None = None) -> NamedImages:
    """Finds the image files that arguments name.

    Args:
        arguments: files, folders (searched with their subfolders), patterns with `*`, `?`, `[...]` or `**`,
            and `-` for names on the standard input. A name that is none of these is kept, so that it becomes
            a result with an error.
        stdin: names separated by line feeds, or by NUL bytes where it holds any.
        maps: folder of segmentation maps, which are no images; None = none.
    """
    skipped: Counter[str] = Counter()
    names: dict[str, None] = {}
    for argument in arguments:
        for name in _expanded(argument, stdin):
            if os.path.isdir(name):
                listing = list_images(Path(name), leave_out=maps)
                skipped.update(listing.reasons)
                names |= dict.fromkeys(str(Path(name) / image) for image in listing.images)
            else:
                names[name] = None
    return NamedImages(tuple(names), skipped)


def _expanded(argument: str, stdin: BinaryIO) -> Iterator[str]:
    """Yields names of files and folders."""
    if argument == STDIN:
        yield from _names_on(stdin)
    elif not os.path.lexists(argument) and glob.has_magic(argument):
        yield from sorted(glob.glob(argument, recursive=True)) or [argument]
    else:
        yield argument


def _names_on(stdin: BinaryIO) -> list[str]:
    content = stdin.read()
    separator = b"\0" if b"\0" in content else b"\n"
    names = [name.removesuffix(b"\r") for name in content.split(separator)]
    return [os.fsdecode(name) for name in names if name]
