"""Generated photos, no two alike, and what lies among the photos of every large archive."""

import functools
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

MOST_PHOTOS = 2**20
"""Photos that can be told apart; the last one is the placeholder."""

_BASES = 64
_ORIENTATION, _ON_ITS_SIDE = 0x0112, 6
_FINE: Mapping[str, int] = {"quality": 95, "subsampling": 0}


@dataclass(frozen=True)
class Trouble:
    """A kind of file that lies among photos.

    Attributes:
        suffix: Of its name.
        make: Number and height in pixels of the photo that it once was -> its bytes.
        kind: Of its rejection, empty = it arrives.
    """

    suffix: str
    make: Callable[[int, int], bytes]
    kind: str = ""


@functools.lru_cache(maxsize=1)
def _bases(side: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (24, 32, 3)).astype(np.uint8) for _ in range(_BASES)]
    size = (side * 4 // 3, side)
    return tuple(
        np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in coarse
    )


def picture(number: int, side: int) -> np.ndarray:
    """Pixels of 4 : 3, uint8 [side, side * 4 / 3, 3], of a number below `MOST_PHOTOS`."""
    pixels = _bases(side)[number % _BASES].copy()
    # A mark of the number's own, large enough to outlive the coding.
    for bit in range(20):
        row, column = divmod(bit, 5)
        pixels[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 255 * (number >> bit & 1)
    return pixels


def photo(number: int, side: int) -> bytes:
    """A JPEG of `picture`."""
    return simplejpeg.encode_jpeg(picture(number, side), quality=88, colorspace="RGB")


def encoded(image: Image.Image, form: str, **options) -> bytes:
    """A picture as a file of one of Pillow's formats."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _truncated(number: int, side: int) -> bytes:
    content = photo(number, side)
    return content[: len(content) // 2]


def _html(number: int, side: int) -> bytes:
    return f"<!DOCTYPE html><html><body>Photo {number} is gone.</body></html>".encode()


def _cmyk(number: int, side: int) -> bytes:
    return encoded(Image.fromarray(picture(number, side)).convert("CMYK"), "JPEG", **_FINE)


def _sixteen_bit(number: int, side: int) -> bytes:
    gray = picture(number, side)[..., 0].astype(np.uint16)
    return encoded(Image.fromarray(gray * np.uint16(257)), "PNG")


def _gif(number: int, side: int) -> bytes:
    return encoded(Image.fromarray(picture(number, side)[..., 0]), "GIF")


def _turned(number: int, side: int) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = _ON_ITS_SIDE
    return encoded(Image.fromarray(picture(number, side)), "JPEG", exif=exif, **_FINE)


def _one_pixel(number: int, side: int) -> bytes:
    return encoded(Image.new("RGB", (1, 1), (number % 256, 0, 0)), "JPEG")


@functools.lru_cache(maxsize=1)
def _banner(side: int) -> bytes:
    return encoded(Image.new("RGB", (40_000, side), "navy"), "JPEG")


@functools.lru_cache(maxsize=1)
def _bomb() -> bytes:
    return encoded(Image.new("1", (20_000, 20_000)), "PNG")


TROUBLES: Mapping[str, Trouble] = {
    "truncated": Trouble(".jpg", _truncated, "unreadable image"),
    "HTML": Trouble(".jpg", _html, "unreadable image"),
    "decompression bomb": Trouble(".png", lambda number, side: _bomb(), "unreadable image"),
    "one pixel": Trouble(".jpg", _one_pixel, "too small"),
    "40,000 pixels wide": Trouble(".jpg", lambda number, side: _banner(side), "extreme shape"),
    "placeholder": Trouble(
        ".jpg", lambda number, side: photo(MOST_PHOTOS - 1, side), "placeholder"
    ),
    "CMYK": Trouble(".jpg", _cmyk),
    "16 bit": Trouble(".png", _sixteen_bit),
    "GIF": Trouble(".gif", _gif),
    "turned by EXIF": Trouble(".jpg", _turned),
}
"""What a photo's own bytes have in store; `photo_collection` adds what names, archives and tables have."""
