"""The shapes that an archive may have, by name, and which of them lies somewhere."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from geosurge_jax.importing.archives.contract import Archive
from geosurge_jax.importing.archives.image_tree import ImageTree
from geosurge_jax.importing.archives.message_pack import MessagePackShards
from geosurge_jax.importing.archives.tar import Tars
from geosurge_jax.importing.archives.zips import Zips

SHAPES: Mapping[str, Callable[[Path], Archive]] = {
    "tree": ImageTree,
    "message-pack": MessagePackShards,
    "tar": Tars,
    "zip": Zips,
}

_MARKS = {
    "message-pack": re.compile(r"\.(msg|msgpack)$", re.IGNORECASE),
    "zip": re.compile(r"\.zip$", re.IGNORECASE),
    "tar": re.compile(r"\.(tar(\..+)?|tgz)$", re.IGNORECASE),
}
_LOOKED_AT = 1000
"""Files that tell the shape; millions of photos are not listed to see that they are no archives."""


def archive_of(source: Path, shape: str | None) -> Archive:
    """The archive at `source`, of a shape by name, or of the one that its files' names tell.

    Raises:
        ValueError: There is nothing, or archives of several shapes.
    """
    return SHAPES[shape or _told(source)](source)


def _told(source: Path) -> str:
    names = [source.name] if source.is_file() else list(islice(_files(source), _LOOKED_AT))
    if not names:
        raise ValueError(
            f"{source}: no such file or folder, or an empty one, expected photos (--source)"
        )
    found = {shape for name in names for shape, mark in _MARKS.items() if mark.search(name)}
    if len(found) > 1:
        raise ValueError(
            f"{source}: files of several shapes ({', '.join(sorted(found))}), expected one of them to be "
            "named by --shape"
        )
    return found.pop() if found else "tree"


def _files(folder: Path) -> Iterator[str]:
    return (name for _, _, files in os.walk(folder) for name in files)
