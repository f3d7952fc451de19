"""The image formats that every command accepts, by the suffix of a file's name."""

import importlib.util
import io
import struct

from PIL import Image, UnidentifiedImageError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    *(".png", ".apng", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".dib"),
    *(".avif", ".avifs", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
    *(".heic", ".heif", ".heics", ".heifs", ".hif"),
)
"""In lower case. Files of these names that cannot be decoded are rejected, never passed over."""

HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")

HEIF_INSTALLED = importlib.util.find_spec("pillow_heif") is not None
"""Whether HEIC images can be decoded: by the extra `geosurge-jax[heif]`."""

if HEIF_INSTALLED:
    from pillow_heif import register_heif_opener  # pyright: ignore[reportMissingImports]

    register_heif_opener()


_PILLOW_FORMATS = (
    *("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "AVIF", "JPEG2000", "HEIF"),
)
"""Formats that Pillow may open, MPO with JPEG; others, such as EPS, start programs or have no use here."""


def open_image(content: bytes) -> Image.Image:
    """Opens an image of an accepted format, whatever its name; reads its header alone.

    `Image.open` does the same, but warns about large images, which are checked by `decode_limits`.

    Raises:
        UnidentifiedImageError: it is of no accepted format, or its header is damaged.
        Exception: each of Pillow's formats has further ways to fail on damage.
    """
    Image.init()
    for name in _PILLOW_FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        accepted = accept is None or accept(content[:16])
        if factory is None or not accepted or isinstance(accepted, str):  # a text says why not
            continue
        try:
            return factory(io.BytesIO(content), "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
    raise UnidentifiedImageError("cannot identify image file")


def webp_size(content: bytes) -> tuple[int, int] | None:
    """Returns height and width of a WebP by its first chunk (RFC 9649); None where it is none.

    Pillow allocates several times the size of an image as it opens it.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < 30:
        return None
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(content[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    else:
        return None
    return height, width


def is_image_name(name: str) -> bool:
    """Returns whether a file's name ends like that of an image."""
    return name.lower().endswith(SUFFIXES)


def is_heif(content: bytes) -> bool:
    """Returns whether a file's first bytes are those of HEIC or HEIF."""
    return content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS


def without_suffix(name: str) -> str:
    """Returns a file's name without the suffix of an image; other suffixes stay."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and f"{dot}{suffix}".lower() in SUFFIXES else name
