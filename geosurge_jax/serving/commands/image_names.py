"""From the command's arguments to the names of image files."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from geosurge_jax.serving.images import images_of_folder

STDIN = "-"


def image_names(arguments: Sequence[str], stdin: BinaryIO) -> list[str]:
    """Returns the names of image files, each once, in the order of the arguments.

    Args:
        arguments: files, folders (searched with their subfolders), patterns with `*`, `?`, `[...]` or `**`,
            and `-` for names on the standard input. A name that is none of these is kept, so that it becomes
            a result with an error.
        stdin: names separated by line feeds, or by NUL bytes where it holds any.
    """
    found = dict.fromkeys(name for one in arguments for name in _expanded(one, stdin))
    return [*found]


def _expanded(argument: str, stdin: BinaryIO) -> Iterator[str]:
    if argument == STDIN:
        for name in _names_on(stdin):
            yield from _files(name)
    elif not os.path.lexists(argument) and glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        for name in matches or [argument]:
            yield from _files(name)
    else:
        yield from _files(argument)


def _files(name: str) -> Iterator[str]:
    path = Path(name)
    if path.is_dir():
        yield from (str(image) for image in images_of_folder(path))
    else:
        yield name


def _names_on(stdin: BinaryIO) -> list[str]:
    content = stdin.read()
    separator = b"\0" if b"\0" in content else b"\n"
    names = [name.removesuffix(b"\r") for name in content.split(separator)]
    return [os.fsdecode(name) for name in names if name]
