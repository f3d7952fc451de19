"""A folder as people have them: every format, a name in latin-1, a broken link, leftovers of macOS."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from geosurge_jax.input.image_formats import HEIF_INSTALLED


@dataclass(frozen=True)
class Mixed:
    """What a folder of mixed files holds.

    Attributes:
        folder: where the files lie.
        places: path of each image that decodes -> degrees, latitude first.
        rejected: path of each image that does not -> the kind of its rejection.
        skipped: reason -> number of files that are no images.
    """

    folder: Path
    places: Mapping[str, tuple[float, float]]
    rejected: Mapping[str, str]
    skipped: Mapping[str, int]

    @property
    def files(self) -> int:
        """How many files there are."""
        return len(self.places) + len(self.rejected) + sum(self.skipped.values())


def picture(number: int, width: int = 96, height: int = 72) -> Image.Image:
    """An image of its own for each number."""
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def exif(latitude: float, longitude: float) -> bytes:
    """An EXIF block with a position in whole degrees."""
    block = Image.Exif()
    block[0x010F] = "SECRET maker"
    place = {1: "NS"[latitude < 0], 2: (abs(latitude), 0.0, 0.0)}
    place |= {3: "EW"[longitude < 0], 4: (abs(longitude), 0.0, 0.0)}
    block.get_ifd(0x8825).update(place)
    return block.tobytes()


def encoded(number: int, form: str, image: Image.Image | None = None, **options) -> bytes:
    """An encoded image with its position in EXIF."""
    file = io.BytesIO()
    (image or picture(number)).save(file, form, exif=exif(*place(number)), **options)
    return file.getvalue()


def bare(number: int, form: str) -> bytes:
    """An encoded image without EXIF."""
    file = io.BytesIO()
    picture(number).save(file, form)
    return file.getvalue()


def place(number: int) -> tuple[float, float]:
    return float(7 * number % 80 + 1), float(23 * number % 170 + 1)


def animation(number: int) -> bytes:
    frames = [picture(number + 500 * n) for n in range(3)]
    return encoded(number, "WEBP", frames[0], save_all=True, append_images=frames[1:], quality=90)


def images() -> dict[str, bytes]:
    """The images that decode, numbered in this order."""
    heic = encoded(7, "HEIF") if HEIF_INSTALLED else b"\0\0\0\x18ftypheic" + bytes(99)
    return {
        "plain.jpg": encoded(0, "JPEG"),
        "canon.JPE": encoded(1, "JPEG"),
        "scan.tif": encoded(2, "TIFF"),
        "shot.png": encoded(3, "PNG"),
        "stereo.mpo": encoded(4, "MPO", save_all=True, append_images=[picture(904)]),
        "animated.webp": animation(5),
        "print.jpg": encoded(6, "JPEG", picture(6).convert("CMYK")),
        "phone/IMG_1.HEIC": heic,
        "phone/s20.jpg": encoded(8, "JPEG", picture(8, 12000, 9000), quality=30),
        "web.avif": encoded(9, "AVIF"),
        # Formats without EXIF, whose positions lie in sidecars of Takeout.
        "takeout/dance.gif": bare(10, "GIF"),
        "takeout/paint.bmp": bare(11, "BMP"),
        "takeout/archive.jp2": bare(12, "JPEG2000"),
    }


def takeout(number: int) -> bytes:
    """A sidecar of Google Takeout."""
    latitude, longitude = place(number)
    return f'{{"geoData": {{"latitude": {latitude}, "longitude": {longitude}}}}}'.encode()


def mixed_folder(folder: Path) -> Mixed:
    """Writes the files."""
    good = images()
    places = {name: place(number) for number, name in enumerate(good)}
    sidecars = {
        f"{name}.json": takeout(number)
        for number, name in enumerate(good)
        if name.startswith("takeout/")
    }
    bad = {
        "cut.jpg": (encoded(13, "JPEG")[:-400], "unreadable image"),
        "page.jpg": (b"<!doctype html>" * 9, "unreadable image"),
        "latin-\udcdf.jpg": (encoded(14, "JPEG"), "unsafe name"),
    }
    leftovers = {"._plain.jpg": b"x", "__MACOSX/plain.jpg": b"x", "notes.txt": b"x"}
    rejected = {name: kind for name, (_, kind) in bad.items()}
    for name, content in {
        **good,
        **sidecars,
        **{name: content for name, (content, _) in bad.items()},
        **leftovers,
    }.items():
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    (folder / "nobody.jpg").symlink_to("gone.jpg")  # as unreadable to root as to everybody
    rejected["nobody.jpg"] = "missing file"
    if not HEIF_INSTALLED:
        del places["phone/IMG_1.HEIC"]
        rejected["phone/IMG_1.HEIC"] = "unreadable image"
    return Mixed(folder, places, rejected, {"hidden": 1, "system file": 1, ".txt": 1, ".json": 3})
