"""The position where a photo was taken, according to the photo itself."""

from geosurge_jax.importing.positions import checked_degrees, checked_position
from geosurge_jax.importing.xmp import xmp_latlng, xmp_packet
from geosurge_jax.input.exif import GPS_DIRECTORY, Directory, exif_blocks, read_directory

_LATITUDE_REFERENCE, _LATITUDE, _LONGITUDE_REFERENCE, _LONGITUDE = 1, 2, 3, 4
_POSITION = {_LATITUDE_REFERENCE, _LATITUDE, _LONGITUDE_REFERENCE, _LONGITUDE}


def gps_latlng(content: bytes) -> tuple[float, float]:
    """Return the position in a photo's EXIF (EXIF 2.32, section 4.6.6), else in its XMP.

    Args:
        content: The file: JPEG, TIFF, PNG, WebP, or another format that Pillow reads.

    Returns:
        Degrees, latitude first, not checked against any range.

    Raises:
        ValueError: There is no position, it is incomplete, or it is not plausible; one line.
    """
    gps = _gps_directory(content)
    if gps:
        latitude = _degrees(gps, _LATITUDE, _LATITUDE_REFERENCE, "NS")
        longitude = _degrees(gps, _LONGITUDE, _LONGITUDE_REFERENCE, "EW")
        return checked_position(latitude, longitude, "EXIF")
    packet = xmp_packet(content)
    latlng = None if packet is None else xmp_latlng(packet)
    if latlng is None:
        raise ValueError("no GPS position in EXIF or XMP")
    return latlng


def _gps_directory(content: bytes) -> Directory:
    """Return the first GPS directory with a part of a position; empty where there is none."""
    for block in exif_blocks(content):
        pointer = read_directory(block).get(GPS_DIRECTORY)
        if isinstance(pointer, tuple) and pointer:
            gps = read_directory(block, pointer[0])
            if gps.keys() & _POSITION:
                return gps
    return {}


def _degrees(gps: Directory, tag: int, reference_tag: int, letters: str) -> float:
    """Return signed degrees from rationals and the letter of a hemisphere."""
    reference, numbers = gps.get(reference_tag), gps.get(tag)
    letter = reference if isinstance(reference, bytes) else b""
    letter = letter.split(b"\x00")[0].strip().upper().decode("latin-1")
    parts: list[float | None] = []
    if isinstance(numbers, tuple) and len(numbers) in (2, 4, 6):
        parts = [
            _quotient(part, whole) for part, whole in zip(numbers[::2], numbers[1::2], strict=True)
        ]
    if not parts or any(part is not None and part == float("inf") for part in parts):
        raise ValueError(f"GPS position {numbers!r} in EXIF, expected rationals")
    return checked_degrees(parts, letter, letters, "EXIF")


def _quotient(part: int, whole: int) -> float | None:
    """Return a rational; None for 0/0, which means undefined, and infinity for other zero divisors."""
    if whole:
        return part / whole
    return float("inf") if part else None
