"""The rows of a table of photos as columns on disk, found by the id of a photo.

Millions of rows as Python objects would fill a machine's memory once for each process; as arrays that are
mapped into memory they take some 100 bytes each, once for all.
"""

import hashlib
import json
import re
import unicodedata
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geosurge_jax.command_end import NothingDoneError
from geosurge_jax.importing.archives.contract import photo_id
from geosurge_jax.importing.file_names import text_problem
from geosurge_jax.importing.files import replaced
from geosurge_jax.importing.row_values import RejectedRow, Rejection, row_latlng, row_scenes
from geosurge_jax.importing.table import Row, Table

# What a spreadsheet makes of a long number, and of a hexadecimal one with a single E in it.
_BY_NAME = 1000  # more outer folders than any path has
_SPREADSHEET_NUMBER = re.compile(r"[+-]?\d(?:[.,]\d+)?E[+-]?\d+", re.IGNORECASE)


@dataclass(frozen=True)
class PhotoRow:
    """What a table says of one photo.

    Attributes:
        number: As a spreadsheet counts; 0 where the archive itself said it.
        latlng: Degrees, latitude first, longitude in [-180, 180).
        scene: See `Record`.
        author: Empty = unknown.
        licence: Empty = unknown.
    """

    number: int
    latlng: tuple[float, float]
    scene: tuple[int, int, int]
    author: str
    licence: str


@dataclass(frozen=True)
class FoundRow:
    """The row of a photo.

    Attributes:
        outer: outer folders of the photo's path that the table does not know; more where its name is spelled
            differently, so that of several photos with the same row the best match counts.
        identity: what the photo is called.
        key: of the row, the same for all photos that have it.
        row: what the table says.
    """

    outer: int
    identity: str
    key: int
    row: PhotoRow


def id_key(identity: str) -> int:
    """64 bits that stand for an id."""
    digest = hashlib.blake2b(identity.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def parse_row(number: int, values: Mapping[str, str]) -> PhotoRow:
    """A row by roles, checked.

    Raises:
        RejectedRow: A value is not what it should be.
    """
    return PhotoRow(
        number=number,
        latlng=row_latlng({role: values.get(role, "") for role in ("latitude", "longitude")}),
        scene=row_scenes(values),
        author=values.get("author", ""),
        licence=values.get("licence", ""),
    )


class PhotoRows:
    """The rows that passed, and which did not, mapped from a directory of columns."""

    def __init__(self, directory: Path):
        """Opens what `write_photo_rows` wrote."""

        def column(name: str) -> np.ndarray:
            mapped = np.load(directory / f"{name}.npy", mmap_mode="r")
            return mapped.view(np.ndarray)  # memmap's own indexing is five times as slow

        self.keys = column("keys")
        self._refused = column("refused")
        self._numbers, self._latlng = column("numbers"), column("latlng")
        self._scenes, self._texts = column("scenes"), column("texts")
        self._id_ends = column("id_ends")
        self._name_keys, self._name_rows = column("name_keys"), column("name_rows")
        self._ids = directory / "ids.txt"
        self._text = json.loads((directory / "texts.json").read_text())
        self.rejections = tuple(
            Rejection(*listed) for listed in json.loads((directory / "rejected.json").read_text())
        )

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, identities: Sequence[str]) -> FoundRow:
        """Finds the row of a photo: by the first of several possible ids that has one, else by its name.

        Args:
            identities: of the photo: its whole path, then what is left without outer folders.

        Raises:
            RejectedRow: None has a row, several rows may be meant, or the row was rejected itself.
        """
        keys = []
        for number, identity in enumerate(identities):
            keys.append(np.uint64(id_key(identity)))
            index = _place(self.keys, keys[-1])
            if index is not None:
                return FoundRow(number, identity, int(self.keys[index]), self._row(index))
        if any(_place(self._refused, key) is not None for key in keys):
            raise RejectedRow("rejected row: the table's row of this photo was rejected")
        index = self._by_name([_folded(identity) for identity in identities])
        return FoundRow(_BY_NAME, identities[0], int(self.keys[index]), self._row(index))

    def _by_name(self, identities: Sequence[str]) -> int:
        """The row whose id differs in letter case or Unicode normalization, or has more folders around it."""
        key = np.uint64(id_key(identities[-1]))
        first, last = (int(self._name_keys.searchsorted(key, side)) for side in ("left", "right"))
        rows = []
        for index in self._name_rows[first:last].tolist():
            named = _folded(self._identity(index))
            if named in identities or named.endswith(f"_{identities[0]}"):
                rows.append(index)
        if not rows:
            raise RejectedRow("no row: the table has none for this photo")
        if len(rows) > 1:
            numbers = " and ".join(
                str(number) for number in sorted(self._numbers[rows[:2]].tolist())
            )
            raise RejectedRow(f"ambiguous row: rows {numbers} may be of this photo")
        return rows[0]

    def _identity(self, index: int) -> str:
        start, stop = self._id_ends[index].tolist()
        with self._ids.open("rb") as file:
            file.seek(start)
            return file.read(stop - start).decode()

    def _row(self, index: int) -> PhotoRow:
        author, licence = self._texts[index]
        latitude, longitude = self._latlng[index].tolist()
        coarse, middle, fine = self._scenes[index].tolist()
        return PhotoRow(
            number=int(self._numbers[index]),
            latlng=(latitude, longitude),
            scene=(coarse, middle, fine),
            author=self._text[author],
            licence=self._text[licence],
        )

    def without_photo(self, found: np.ndarray) -> Iterator[Rejection]:
        """A rejection for each row, in the order of the table, whose key is not among those found."""
        missing = np.flatnonzero(~np.isin(self.keys, found))
        text = self._ids.read_bytes() if len(missing) else b""
        for index in missing[np.argsort(self._numbers[missing])]:
            start, stop = self._id_ends[index]
            identity = text[start:stop].decode()
            reason = "missing photo: the archive has none for this row"
            yield Rejection(int(self._numbers[index]), identity, "", reason)


def write_photo_rows(table: Table, directory: Path) -> None:
    """Reads a table into the columns of a new directory, rows in the order of their keys.

    Of rows with the same id the first that passes counts.

    Raises:
        ValueError: No row can be used.
    """
    keys, numbers, latlng, scenes, texts = (
        array("Q"),
        array("q"),
        array("d"),
        array("h"),
        array("q"),
    )
    id_ends, ids, names = array("q"), bytearray(), array("Q")
    text_index: dict[str, int] = {}
    rejections: list[Rejection] = []
    for row in table:
        named = row.values.get("file") or row.values.get("id", "")
        identity = photo_id(named)
        try:
            _check_identity(row, identity)
            parsed = parse_row(row.number, row.values)
        except RejectedRow as error:
            rejections.append(Rejection(row.number, identity, "", str(error)))
            continue
        keys.append(id_key(identity))
        names.append(id_key(_folded(photo_id(named.replace("\\", "/").rpartition("/")[2]))))
        numbers.append(row.number)
        latlng.extend(parsed.latlng)
        scenes.extend(parsed.scene)
        for text in (parsed.author, parsed.licence):
            texts.append(text_index.setdefault(text, len(text_index)))
        id_ends.append(len(ids))
        ids.extend(identity.encode())
        id_ends.append(len(ids))
    if not keys:
        first = f"; row {rejections[0].row}: {rejections[0].reason}" if rejections else ""
        raise NothingDoneError(
            f"{table.path}: none of {len(rejections)} rows can be used{first} (--table)"
        )
    by_key = np.argsort(np.asarray(keys), kind="stable")
    again = np.concatenate([[False], np.diff(np.asarray(keys)[by_key]) == 0])
    spans = np.asarray(id_ends).reshape(-1, 2)
    for place in np.flatnonzero(again):
        start, stop = spans[by_key[place]]
        reason = f"duplicate id: already in row {numbers[by_key[place - 1]]}"
        number = numbers[by_key[place]]
        rejections.append(Rejection(number, ids[start:stop].decode(), "", reason))
    kept = by_key[~again]
    refused = np.array(sorted({id_key(rejected.id) for rejected in rejections}), np.uint64)
    name_keys = np.asarray(names)[kept]
    by_name = np.argsort(name_keys, kind="stable")
    columns = {
        "name_keys": name_keys[by_name],
        "name_rows": by_name,
        "keys": np.asarray(keys)[kept],
        "numbers": np.asarray(numbers)[kept],
        "latlng": np.asarray(latlng).reshape(-1, 2)[kept],
        "scenes": np.asarray(scenes).reshape(-1, 3)[kept],
        "texts": np.asarray(texts).reshape(-1, 2)[kept],
        "id_ends": spans[kept],
        "refused": refused,
    }
    _write_columns(directory, columns, ids, list(text_index), rejections)


def _write_columns(
    directory: Path,
    columns: Mapping[str, np.ndarray],
    ids: bytes | bytearray,
    texts: Sequence[str],
    rejections: Sequence[Rejection],
) -> None:
    with replaced(directory) as building:
        building.mkdir()
        for name, values in columns.items():
            np.save(building / f"{name}.npy", values)
        (building / "ids.txt").write_bytes(ids)
        (building / "texts.json").write_text(json.dumps(texts))
        ordered = sorted(rejections, key=lambda rejected: rejected.row)
        listed = [(r.row, r.id, r.file, r.reason) for r in ordered]
        (building / "rejected.json").write_text(json.dumps(listed))


def _place(values: np.ndarray, wanted: np.uint64) -> int | None:
    """Where a number stands among ascending ones, None where it does not."""
    place = int(values.searchsorted(wanted))
    return place if place < len(values) and values[place] == wanted else None


def _folded(identity: str) -> str:
    """An id without differences of letter case and Unicode normalization."""
    return unicodedata.normalize("NFC", identity.casefold())


def _check_identity(row: Row, identity: str) -> None:
    if row.problem:
        raise RejectedRow(row.problem)
    if not identity:
        raise RejectedRow("missing id: the row names no photo")
    problem = text_problem(identity)
    if problem:
        raise RejectedRow(problem)
    if _SPREADSHEET_NUMBER.fullmatch(identity):
        raise RejectedRow(f"damaged id: {identity!r}, a spreadsheet turned it into a number")
