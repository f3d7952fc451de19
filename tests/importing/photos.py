"""A generated archive with one of everything that goes wrong, and the table that came with it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from benchmarks.damaged_photos import TROUBLES, encoded
from geosurge_jax.importing.archives.contract import Contents, Member, Unit


def jpeg(number: int, height: int = 48, width: int = 64, quality: int = 90) -> bytes:
    """A photo of its own for each number."""
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8))
    pixels = np.array(small.resize((width, height), Image.Resampling.BICUBIC))
    return simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB")


GOOD: Mapping[str, bytes] = {
    **{f"{n % 7:02d}/{n:04d}.jpg": jpeg(n) for n in range(60)},
    "gray/1.jpg": encoded(Image.fromarray(np.full((40, 50), 9, np.uint8)), "JPEG"),
    "cmyk/1.jpg": TROUBLES["CMYK"].make(1, 48),
    "deep/1.png": TROUBLES["16 bit"].make(1, 48),
    "palette/1.gif": TROUBLES["GIF"].make(1, 48),
    "turned/1.jpg": TROUBLES["turned by EXIF"].make(1, 48),
    "large/1.jpg": jpeg(999, 300, 400),
}
"""Photos that arrive, by the name they have in the archive."""

BAD: Mapping[str, tuple[bytes, str]] = {
    "cut/1.jpg": (TROUBLES["truncated"].make(2, 48), "unreadable image"),
    "empty/1.jpg": (b"", "unreadable image"),
    "html/1.jpg": (TROUBLES["HTML"].make(3, 48), "unreadable image"),
    "tiny/1.jpg": (jpeg(1001, 1, 1), "too small"),
    "wide/1.jpg": (jpeg(1002, 40, 4000), "extreme shape"),
    "bomb/1.png": (TROUBLES["decompression bomb"].make(4, 48), "unreadable image"),
    "unlisted/1.jpg": (jpeg(1003), "no row"),
    "swapped/1.jpg": (jpeg(1004), "rejected row"),
    **{f"placeholder/{n}.jpg": (jpeg(1005), "placeholder") for n in range(10)},
}
"""Photos that do not, and the kind of their rejection."""

BAD_ROWS: Mapping[str, tuple[str, str]] = {
    "swapped/1.jpg": ("151.2,-33.8", "swapped coordinates"),
    "nowhere/1.jpg": ("0,0", "no position"),
    "text/1.jpg": ("north,9", "not a number"),
    "far/1.jpg": ("91,200", "out of range"),
    "4.73E+15": ("1,2", "damaged id"),
    "": ("3,4", "missing id"),
    "dead/1.jpg": ("5,6", "missing photo"),
    "dead/2.jpg": ("-5,6", "missing photo"),
}


def table_text() -> str:
    """MP-16's columns, with a byte order mark and an author of two lines."""
    lines = ["IMG_ID,AUTHOR,LAT,LON,S3_Label,S16_Label,S365_Label,Prob_indoor"]
    listed = [name for name in (*GOOD, *BAD) if name not in ("unlisted/1.jpg", "swapped/1.jpg")]
    for n, name in enumerate(listed):
        latitude, longitude = place(n)
        author = f'"Ada, ""{n % 23}""\nof Thun"' if n % 5 else ""
        lines.append(f"{name},{author},{latitude},{longitude},{n % 3},{n % 16},{n % 365},0.5")
    lines += [f"{name},by,{place},0,0,0,0" for name, (place, _) in BAD_ROWS.items()]
    lines.append(f"{listed[3]},again,9,9,0,0,0,0")
    return "\ufeff" + "\r\n".join(lines) + "\r\n"


def place(n: int) -> tuple[float, float]:
    rng = np.random.default_rng(n)
    return round(rng.uniform(-80, 80), 6), round(rng.uniform(-180, 180), 6)


@dataclass(frozen=True)
class Listed:
    """An archive in memory, in units of `photos` members."""

    members: Sequence[tuple[str, bytes]]
    photos: int = 16
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def contents(self, workdir: Path) -> Contents:
        starts = range(0, len(self.members), self.photos)
        units = tuple(Unit(f"unit-{at:05d}", "memory", at, at + self.photos) for at in starts)
        return Contents(units, {".txt": 2}, f"{len(self.members)} by {self.photos}")

    def read(self, unit: Unit) -> Iterator[Member]:
        for at, (name, content) in enumerate(self.members[unit.start : unit.stop], unit.start):
            yield Member(name, content, f"item {at}", self.values.get(name, {}))


def everything(photos: int = 16) -> Listed:
    return Listed((*GOOD.items(), *((name, content) for name, (content, _) in BAD.items())), photos)
