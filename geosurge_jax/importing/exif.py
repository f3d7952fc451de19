"""Where a photo was taken, according to its own EXIF block."""

import io

from PIL import Image

from geosurge_jax.importing.strip import is_jpeg
from geosurge_jax.input.exif import EXIF_MARK, GPS_DIRECTORY, jpeg_exif, read_directory

_LATITUDE_REFERENCE, _LATITUDE, _LONGITUDE_REFERENCE, _LONGITUDE = 1, 2, 3, 4
_DEGREES_PER_PART = (1.0, 1 / 60, 1 / 3600)


def exif_block(content: bytes) -> bytes | None:
    """The TIFF block of the EXIF of a JPEG, PNG or WebP file; None where there is none."""
    if is_jpeg(content):
        return jpeg_exif(content)
    try:
        with Image.open(io.BytesIO(content)) as image:
            block = image.info.get("exif")
    except Exception:  # each of Pillow's formats has its own way to fail on damage
        return None
    return block.removeprefix(EXIF_MARK) if isinstance(block, bytes) else None


def gps_latlng(content: bytes) -> tuple[float, float]:
    """Position in the GPS directory of a photo's EXIF block (EXIF 2.32, section 4.6.6).

    Args:
        content: The file.

    Returns:
        Degrees, latitude first, as they stand there: not checked against any range.

    Raises:
        ValueError: There is no position, or a part of it is missing or not a number.
    """
    block = exif_block(content)
    pointer = read_directory(block).get(GPS_DIRECTORY) if block else None
    if block is None or not isinstance(pointer, tuple) or not pointer:
        raise ValueError("no GPS position in EXIF")
    gps = read_directory(block, pointer[0])
    latitude = _degrees(gps.get(_LATITUDE), gps.get(_LATITUDE_REFERENCE), b"N", b"S")
    longitude = _degrees(gps.get(_LONGITUDE), gps.get(_LONGITUDE_REFERENCE), b"E", b"W")
    return latitude, longitude


def _degrees(
    parts: bytes | tuple[int, ...] | None,
    reference: bytes | tuple[int, ...] | None,
    positive: bytes,
    negative: bytes,
) -> float:
    """Degrees, minutes and seconds as rationals, and a letter for the sign."""
    names = f"{positive.decode()} or {negative.decode()}"
    letter = reference.rstrip(b"\x00 ").upper() if isinstance(reference, bytes) else b""
    if letter not in (positive, negative):
        raise ValueError(f"GPS reference {letter.decode('latin-1')!r} in EXIF, expected {names}")
    if not isinstance(parts, tuple) or len(parts) not in (2, 4, 6) or 0 in parts[1::2]:
        raise ValueError(f"GPS position {parts!r} in EXIF, expected rationals ({names})")
    values = [part / whole for part, whole in zip(parts[::2], parts[1::2], strict=True)]
    total = sum(value * share for value, share in zip(values, _DEGREES_PER_PART, strict=False))
    return total if letter == positive else -total
