"""Take everything that is not the picture out of an image file, losslessly, and prove it.

Photos carry positions, serial numbers, names, thumbnails and second pictures in EXIF, XMP, IPTC,
comments, maker notes and trailers. The pixels stay as they are coded, with what decoding them needs and
the colour profile. A file that is irregular in any way is not stripped: its caller re-encodes it.
"""

import numpy as np

from geosurge_jax.importing.metadata_marks import find_metadata
from geosurge_jax.importing.strip_jpeg import strip_jpeg
from geosurge_jax.importing.strip_png import strip_png
from geosurge_jax.importing.strip_webp import shortened_webps, strip_webp
from geosurge_jax.input.images import (
    ImageDecodeError,
    decode_class_map,
    decode_image,
)
from geosurge_jax.input.plain_png import write_plain_png

_WEBP_ANIMATED = 0b10


def is_jpeg(content: bytes) -> bool:
    """Return whether a file starts like a JPEG."""
    return content.startswith(b"\xff\xd8\xff")


def is_png(content: bytes) -> bool:
    """Return whether a file starts like a PNG."""
    return content.startswith(b"\x89PNG\r\n\x1a\n")


def is_still_webp(content: bytes) -> bool:
    """Return whether a file starts like a WebP of one picture."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return False
    flags = content[20] if content[12:16] == b"VP8X" and len(content) > 20 else 0
    return not flags & _WEBP_ANIMATED


def strip_metadata(content: bytes) -> bytes:
    """Return the same picture without metadata, thumbnails, second pictures and trailers.

    Args:
        content: A JPEG, PNG or still WebP.

    Raises:
        ValueError: The file has another format or is irregular, or metadata is left in it.
    """
    if is_jpeg(content):
        stripped = strip_jpeg(content)
    elif is_png(content):
        stripped = strip_png(content)
    elif is_still_webp(content):
        stripped = strip_webp(content)
    else:
        raise ValueError(f"file starts with {content[:4]!r}, expected JPEG, PNG or still WebP")
    left = find_metadata(stripped)
    if left:
        raise ValueError(f"{left} is left in the stripped file")
    return stripped


def lossless_copy(content: bytes, pixels: np.ndarray) -> bytes | None:
    """Return the file without metadata, where that is proven to be the same picture.

    Proof: the stripped file is regular, no mark of metadata is left in it, it decodes to the same
    pixels, libjpeg does not warn about it, and no bytes without effect stand at the end of a WebP's
    picture.

    Args:
        content: The file.
        pixels: uint8 [H, W, 3], what `decode_image` returns for it.

    Returns:
        The stripped file; None where the proof fails, for example for images that are not upright.
    """
    try:
        stripped = strip_metadata(content)
        if not np.array_equal(decode_image(stripped, strict=True), pixels):
            return None
    except ValueError:
        return None
    if is_still_webp(stripped) and any(_shows(s, pixels) for s in shortened_webps(stripped)):
        return None
    return stripped


def stored_segmentation(content: bytes) -> bytes:
    """Return a segmentation map as it is stored: without metadata, by the same proof.

    Args:
        content: A PNG that `decode_class_map` reads.

    Raises:
        ImageDecodeError: It does not read the file.
    """
    classes = decode_class_map(content)
    try:
        stripped = strip_metadata(content)
        if np.array_equal(decode_class_map(stripped), classes):
            return stripped
    except ValueError:
        pass
    return write_plain_png(classes)


def _shows(content: bytes, pixels: np.ndarray) -> bool:
    """Return whether a file decodes to the given pixels."""
    try:
        return np.array_equal(decode_image(content), pixels)
    except ImageDecodeError:
        return False
