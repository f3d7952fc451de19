"""A collection of generated photos, its table, and what an import has to make of both."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.damaged_photos import MOST_PHOTOS, TROUBLES, photo
from benchmarks.photo_archives import Stored
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.importing.image_checks import PLACEHOLDER_COPIES
from geosurge_jax.input.image_files import MAX_FILE_BYTES

COLUMNS: Sequence[str] = ("IMG_ID", "AUTHOR", "LAT", "LON", "S3_Label", "S16_Label", "S365_Label")
TARS = ("tar", "split-tar", "webdataset")
MOST_ZIP_BOMBS = 20
"""Each is 64 MiB of zeros that somebody has to deflate."""

Place = tuple[float, float]
"""Latitude and longitude in degrees."""


@dataclass(frozen=True)
class Photo:
    """A file of the collection.

    Attributes:
        name: In the archive.
        trouble: What is wrong with it or its row, empty = nothing.
        kinds: Of the rejections that it leads to, in `rejected.csv` under the ids given here.
        row: Of the table, by `COLUMNS`; empty = it has none.
        shapes: Of the archives that it is in; empty = all.
    """

    name: str
    trouble: str
    kinds: Sequence[tuple[str, str]]
    row: Sequence[str]
    shapes: Sequence[str] = ()

    @property
    def id(self) -> str:
        """What MP-16's tables would call it."""
        return self.name.rpartition(".")[0].replace("/", "_")


@dataclass(frozen=True)
class Collection:
    """Photos on disk, made once for all shapes.

    Attributes:
        photos: In the order of the archive.
        sizes: Bytes of each photo in `content`; those of a zip bomb are not there.
        content: The files one after another.
        table: CSV.
    """

    photos: Sequence[Photo]
    sizes: Sequence[int]
    content: Path
    table: Path

    def of_shape(self, shape: str) -> Iterator[Photo]:
        """The photos that an archive of this shape holds."""
        return (photo for photo in self.photos if not photo.shapes or shape in photo.shapes)

    def stored(self, shape: str) -> Iterator[Stored]:
        """Their files."""
        with self.content.open("rb") as file:
            for photo, size in zip(self.photos, self.sizes, strict=True):
                content = file.read(size)
                if photo.trouble == "zip bomb":
                    content = bytes(MAX_FILE_BYTES + 1)
                if not photo.shapes or shape in photo.shapes:
                    values = dict(zip(COLUMNS, photo.row, strict=False))
                    yield Stored(photo.name, content, values)

    def check(self, shape: str, directory: Path) -> Counter[str]:
        """Holds a finished dataset against what has to come of it.

        Returns:
            Rejections by kind.

        Raises:
            ValueError: A photo is missing, too much or at another place, or a rejection is missing, too much
                or of another kind; names some.
        """
        members = list(self.of_shape(shape))
        expected = Counter(
            (photo.id, (float(photo.row[2]), float(photo.row[3])))
            for photo in members
            if not photo.kinds
        )
        _same("photos", expected, _arrived(directory))
        rejected = Counter(kind for photo in members for kind in photo.kinds)
        with (directory / "rejected.csv").open(encoding="utf-8", newline="") as file:
            found = Counter(
                (row["id"], row["reason"].partition(":")[0]) for row in csv.DictReader(file)
            )
        _same("rejections", rejected, found)
        kinds: Counter[str] = Counter()
        for (_, kind), count in found.items():
            kinds[kind] += count
        return kinds


def make_collection(directory: Path, count: int, side: int, share: float) -> Collection:
    """Generates so many good photos, and of each kind of trouble a share of that number beside them.

    Args:
        directory: To be made.
        count: Photos without any trouble.
        side: Height of a photo in pixels.
        share: 0 = none; else at least one of each kind, and as many as make a placeholder.

    Raises:
        ValueError: The share is out of range, or there are more photos than can be told apart.
    """
    if not 0 <= share <= 0.5:
        raise ValueError(f"share {share}, expected 0 to 0.5 (--damaged)")
    directory.mkdir()
    rng = np.random.default_rng(1)
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    longitude = rng.uniform(-180, 180, count)
    good = [_good(n, latitude[n], longitude[n]) for n in range(count)]
    placed = [(n / count, n, one) for n, one in enumerate(good)]
    if share:
        each = max(1, round(share * count))
        for trouble in (*TROUBLES, *_OTHERS):
            wanted = {
                "placeholder": max(each, PLACEHOLDER_COPIES),
                "zip bomb": min(each, MOST_ZIP_BOMBS),
            }
            many = wanted.get(trouble, each)
            for n in range(many):
                number = len(placed)
                placed.append(((n + 0.5) / many, number, _troubled(trouble, number, good[n])))
    if share and len(placed) >= MOST_PHOTOS:
        raise ValueError(f"{len(placed)} photos, expected fewer than {MOST_PHOTOS} (--photos)")
    placed.sort(key=lambda entry: entry[0])
    sizes = []
    with (directory / "content").open("wb") as file:
        for _, number, one in placed:
            sizes.append(file.write(_content(one, number, side)))
    photos = [one for _, _, one in placed]
    _write_table(directory / "table.csv", photos, share)
    return Collection(photos, sizes, directory / "content", directory / "table.csv")


_OTHERS = (
    "duplicate",
    "path traversal",
    "zip bomb",
    "quoted newline",
    "swapped columns",
    "spreadsheet",
)


def _good(number: int, latitude: float, longitude: float) -> Photo:
    name = f"{number % 97:02x}/{number % 89:02x}/{number}.jpg"
    author, scenes = f"user{number % 7919}", (f"{number % 3}", f"{number % 16}", "-1")
    return Photo(name, "", (), (name, author, f"{latitude:.6f}", f"{longitude:.6f}", *scenes))


def _troubled(trouble: str, number: int, good: Photo) -> Photo:
    """A photo with a trouble; a duplicate is one of `good`."""
    suffix = TROUBLES[trouble].suffix if trouble in TROUBLES else ".jpg"
    name = f"t{number % 7}/{number}{suffix}"
    row = (name, *good.row[1:])
    own = Photo(name, trouble, (), row)
    if trouble in TROUBLES:
        kind = TROUBLES[trouble].kind
        return Photo(name, trouble, ((own.id, kind),) if kind else (), row)
    if trouble == "duplicate":
        return Photo(f"{good.id}.jpg", trouble, ((good.id, "duplicate id"),), ())
    if trouble == "path traversal":
        outside = Photo(f"../{name}", trouble, (), ())
        kinds = ((outside.id, "unsafe name"),)
        return Photo(outside.name, trouble, kinds, (), (*TARS, "zip"))
    if trouble == "zip bomb":
        return Photo(name, trouble, ((own.id, "too large file"),), (), ("zip",))
    if trouble == "quoted newline":
        return Photo(name, trouble, (), (name, f'Ada "{number}",\nof Thun', *row[2:]))
    if trouble == "swapped columns":
        kinds = ((own.id, "swapped coordinates"), (own.id, "rejected row"))
        return Photo(name, trouble, kinds, (*row[:2], "151.25", "-33.5", *row[4:]))
    # What a spreadsheet makes of a number of sixteen digits.
    damaged = f"{1 + number % 9}.{number}E+15"
    kinds = ((damaged, "damaged id"), (own.id, "no row"))
    return Photo(name, trouble, kinds, (damaged, *row[1:]))


def _content(one: Photo, number: int, side: int) -> bytes:
    if one.trouble == "zip bomb":
        return b""
    if one.trouble == "duplicate":
        number = int(one.id.rpartition("_")[2])
    return (
        TROUBLES[one.trouble].make(number, side) if one.trouble in TROUBLES else photo(number, side)
    )


def _write_table(path: Path, photos: Sequence[Photo], share: float) -> None:
    """MP-16's columns; a troubled table has a byte order mark and the line ends of a spreadsheet."""
    encoding, line_end = ("utf-8-sig", "\r\n") if share else ("utf-8", "\n")
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, lineterminator=line_end)
        writer.writerow(COLUMNS)
        writer.writerows(one.row for one in photos if one.row)


def _arrived(directory: Path) -> Counter[tuple[str, Place]]:
    dataset = open_dataset(directory)
    found: Counter[tuple[str, Place]] = Counter()
    for split in dataset.manifest.splits:
        for record in dataset.split(split).records:
            latitude, longitude = record["latlng"].tolist()
            found[record["id"], (latitude, longitude)] += 1
    return found


def _same(what: str, expected: Counter, found: Counter) -> None:
    missing, extra = expected - found, found - expected
    if missing or extra:
        shown = [sorted(map(str, some))[:3] for some in (missing, extra)]
        raise ValueError(
            f"{what}: {missing.total()} missing ({', '.join(shown[0])}), {extra.total()} too much "
            f"({', '.join(shown[1])})"
        )
