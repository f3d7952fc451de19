"""Photos in the shapes in which they are handed on: what `geosurge_jax.importing.archives` reads, written."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import msgpack

_SHARD_PHOTOS = 4096
_ZIP_PHOTOS = 50_000
_TAR_PARTS = 4
_HOSTILE_PICKLE = b"cos\nsystem\n(S'touch pwned'\ntR."


class Stored(NamedTuple):
    """A photo on its way into an archive.

    Attributes:
        name: Its path there.
        content: The file.
        values: What is known of it, column -> text; a WebDataset keeps it beside the photo.
    """

    name: str
    content: bytes
    values: Mapping[str, str] = {}


def as_tree(folder: Path, photos: Iterable[Stored]) -> None:
    """`a/b/NAME.jpg`."""
    for photo in photos:
        path = folder / photo.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo.content)


def as_message_pack(folder: Path, photos: Iterable[Stored]) -> None:
    """`shard_N.msg`, as GeoEstimation's downloader leaves them."""
    for number, shard in enumerate(_pieces(photos, _SHARD_PHOTOS)):
        with (folder / f"shard_{number}.msg").open("wb") as file:
            for photo in shard:
                packed = msgpack.packb({"image": photo.content, "id": photo.name})
                assert packed is not None
                file.write(packed)


def as_tar(folder: Path, photos: Iterable[Stored]) -> None:
    """One tar."""
    with tarfile.open(folder / "mp-16-images.tar", "w") as tar:
        for photo in photos:
            _add(tar, photo.name, photo.content)


def as_split_tar(folder: Path, photos: Iterable[Stored]) -> None:
    """One tar in parts, beside the pickle of its index, as MP16-Pro comes; this pickle would do harm."""
    as_tar(folder, photos)
    whole = folder / "mp-16-images.tar"
    length = -(-whole.stat().st_size // _TAR_PARTS)
    with whole.open("rb") as file:
        for part in range(_TAR_PARTS):
            with (folder / f"{whole.name}.{part:02d}").open("wb") as piece:
                for start in range(0, length, 2**20):
                    piece.write(file.read(min(2**20, length - start)))
    whole.unlink()
    (folder / "tar_index.pkl").write_bytes(_HOSTILE_PICKLE)


def as_webdataset(folder: Path, photos: Iterable[Stored]) -> None:
    """`KEY.jpg` and `KEY.json` in tars."""
    for number, shard in enumerate(_pieces(photos, _SHARD_PHOTOS)):
        with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
            for photo in shard:
                _add(tar, photo.name, photo.content)
                key = photo.name.rpartition(".")[0]
                _add(tar, f"{key}.json", json.dumps(photo.values).encode())


def as_zip(folder: Path, photos: Iterable[Stored]) -> None:
    """`00.zip` and so on, as OSV-5M comes."""
    for number, shard in enumerate(_pieces(photos, _ZIP_PHOTOS)):
        with zipfile.ZipFile(folder / f"{number:02d}.zip", "w", compresslevel=1) as packed:
            for photo in shard:
                # A photo does not get smaller; a bomb of zeros does.
                bomb = len(photo.content) > 2**24
                method = zipfile.ZIP_DEFLATED if bomb else zipfile.ZIP_STORED
                packed.writestr(photo.name, photo.content, method)


SHAPES: Mapping[str, Callable[[Path, Iterable[Stored]], None]] = {
    "tree": as_tree,
    "message-pack": as_message_pack,
    "tar": as_tar,
    "split-tar": as_split_tar,
    "webdataset": as_webdataset,
    "zip": as_zip,
}
"""By name, writers of photos into an empty folder."""


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _pieces(photos: Iterable[Stored], length: int) -> Iterator[Iterator[Stored]]:
    """Runs of so many photos, each to be gone through before the next one."""
    remaining = iter(photos)
    for first in remaining:
        yield chain([first], islice(remaining, length - 1))
