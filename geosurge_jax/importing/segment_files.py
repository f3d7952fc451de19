"""Class maps made elsewhere: a folder of PNG files -> the maps of records."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.dataset.ade20k import CLASSES, UNKNOWN
from geosurge_jax.dataset.rewritten_shard import NewMap
from geosurge_jax.dataset.shards import StoredRecord
from geosurge_jax.importing.segment_classes import read_class_table
from geosurge_jax.importing.strip import stored_segmentation
from geosurge_jax.input.image_files import skip_reason
from geosurge_jax.input.image_formats import without_suffix
from geosurge_jax.input.images import ImageDecodeError, decode_class_map
from geosurge_jax.input.plain_png import write_plain_png
from geosurge_jax.threads import in_threads

_FLAG = "(--maps)"


class FileMaps:
    """The PNG files of a folder, found by the ids of records.

    The map of a record is the file `ID.png` below the folder, with or without the suffix of the photo in the
    id. Where there is none, it is the file with the name of the id's last part, if no other file has it and
    no other record takes it.
    """

    def __init__(self, folder: Path, class_table: Path | None, threads: int):
        """List the files.

        Args:
            folder: With PNG files at any depth; hidden ones are left out.
            class_table: A CSV file that says what their ids mean, None where they are ADE20K's.
            threads: Files read at a time.

        Raises:
            ValueError: There is no such folder, it holds no PNG file, or the table is not valid.
        """
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder, expected PNG files {_FLAG}")
        names = (path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
        self._names = {name for name in names if not skip_reason(name)}
        if not self._names:
            raise ValueError(f"{folder}: no PNG files {_FLAG}")
        self._folder = folder
        self._threads = threads
        self._table = None
        if class_table is not None:
            self._table = read_class_table(class_table, (), UNKNOWN + 1)
        self._by_last: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._names):
            self._by_last[Path(name).stem].append(name)

    @property
    def identity(self) -> Any:
        """JSON value: a digest of the names and contents of all files.

        Raises:
            ValueError: A file cannot be read.
        """
        digest = hashlib.sha256()
        names = sorted(self._names)
        for name, content in zip(
            names, in_threads(self._digest, names, self._threads), strict=True
        ):
            digest.update(f"{name}\t{content}\n".encode("utf-8", "surrogateescape"))
        return {"files": len(self._names), "sha256": digest.hexdigest()}

    def _digest(self, name: str) -> str:
        try:
            return hashlib.sha256((self._folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise ValueError(f"{self._folder / name}: {error.strerror} {_FLAG}") from None

    def __call__(self, records: Iterator[StoredRecord]) -> Iterator[NewMap]:
        """The map of each record, in order."""
        return in_threads(self._map, records, self._threads)

    def _map(self, record: StoredRecord) -> NewMap:
        name = self._file(record.id)
        if not name:
            return NewMap(None, "no map file")
        return NewMap(self._content(self._folder / name), claim=name)

    def _file(self, record: str) -> str:
        """The file of a record, empty = none."""
        if f"{record}.png" in self._names:
            return f"{record}.png"
        stem = without_suffix(record)
        if f"{stem}.png" in self._names:
            return f"{stem}.png"
        last = stem.rpartition("/")[2]
        # Ids of photos from archives join the folders of their name by "_".
        tails = [last[start:] for start in range(len(last)) if not start or last[start - 1] == "_"]
        for tail in tails:
            if len(self._by_last.get(tail, ())) == 1:
                return self._by_last[tail][0]
        return ""

    def _content(self, path: Path) -> bytes:
        """The file as it is stored.

        Raises:
            ValueError: It is not a class map; names the file.
        """
        try:
            content = path.read_bytes()
            classes = decode_class_map(content)
        except ImageDecodeError as error:
            raise ValueError(f"{path}: {error} {_FLAG}") from None
        if self._table is not None:
            return write_plain_png(self._table[classes])
        present = np.unique(classes)
        wrong = present[(present >= len(CLASSES)) & (present != UNKNOWN)]
        if wrong.size:
            raise ValueError(
                f"{path}: class {wrong[0]}, expected 0 to {len(CLASSES) - 1} or {UNKNOWN}, or a file "
                f"that says what the ids mean (--class-table) {_FLAG}"
            )
        return stored_segmentation(content)
