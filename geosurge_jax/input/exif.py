"""The few EXIF tags that matter here: which way up a photo is, and (for importers) where it was.

Pillow reads EXIF too, but warns and raises in many ways on damaged blocks, and warnings cannot be
caught in threads. Here whatever cannot be read is simply not there. Layout: TIFF 6.0 section 2
(image file directories), EXIF 2.32 section 4.6.
"""

import struct
from collections.abc import Iterator

ORIENTATION = 0x0112
GPS_DIRECTORY = 0x8825
EXIF_MARK = b"Exif\x00\x00"

_START_OF_SCAN = 0xDA
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "s", 9: "i", 10: "ii"}
_MAX_VALUES = 1000

Directory = dict[int, bytes | tuple[int, ...]]
"""Tag -> text as bytes, or numbers; a rational is two numbers in a row."""


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of the segments before the first scan, markers included.

    `content[start:end]` is the whole segment with its 0xFF, marker and length. Stops at whatever
    is no segment.
    """
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _STANDALONE:
            yield marker, position, position + 2
            position += 2
            continue
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        if marker == _START_OF_SCAN or length < 2:
            return
        yield marker, position, min(position + 2 + length, len(content))
        position += 2 + length


def jpeg_exif(content: bytes) -> bytes | None:
    """The TIFF block of the EXIF segment of a JPEG file, None where there is none."""
    for marker, start, end in jpeg_segments(content):
        if marker == 0xE1 and content[start + 4 : start + 10] == EXIF_MARK:
            return content[start + 10 : end]
    return None


def read_directory(tiff: bytes, offset: int | None = None) -> Directory:
    """Read one image file directory of a TIFF block.

    Args:
        tiff: Starts with the byte order mark `II` or `MM`.
        offset: Of the directory; None = the first one.

    Returns:
        The readable tags; empty where the block is damaged.
    """
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return {}
    directory: Directory = {}
    try:
        first = struct.unpack_from(order + "I", tiff, 4)[0] if offset is None else offset
        (count,) = struct.unpack_from(order + "H", tiff, first)
        for entry in range(first + 2, first + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(order + "HHI", tiff, entry)
            code = _TYPES.get(kind)
            if code is None or values > _MAX_VALUES:
                continue
            form = order + (f"{values}s" if code == "s" else code * values)
            start = entry + 8
            if struct.calcsize(form) > 4:
                (start,) = struct.unpack_from(order + "I", tiff, start)
            if start + struct.calcsize(form) <= len(tiff):
                found = struct.unpack_from(form, tiff, start)
                directory[tag] = found[0] if code == "s" else found
    except struct.error:
        pass
    return directory


def orientation(tiff: bytes | None) -> int:
    """EXIF orientation 1 to 8; 1 (upright) where there is none or it makes no sense."""
    if tiff is None:
        return 1
    value = read_directory(tiff.removeprefix(EXIF_MARK)).get(ORIENTATION)
    return value[0] if isinstance(value, tuple) and value and 1 <= value[0] <= 8 else 1
