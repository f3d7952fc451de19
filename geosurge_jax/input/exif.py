"""EXIF blocks of image files: the orientation, and (for importers) the directories.

Pillow reads EXIF too, but it warns and raises in many ways on damaged blocks, and warnings cannot be
caught in threads. Here a tag that cannot be read counts as missing. Layout: TIFF 6.0 section 2
(image file directories), EXIF 2.32 section 4.6.
"""

import struct
from collections.abc import Iterator

from geosurge_jax.input.image_formats import open_image
from geosurge_jax.input.png_chunks import PNG_SIGNATURE, png_chunks, png_texts, raw_profile

ORIENTATION = 0x0112
GPS_DIRECTORY = 0x8825
EXIF_MARK = b"Exif\x00\x00"

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "s", 9: "i", 10: "ii", 13: "I"}
_MAX_VALUES, _MAX_BYTES = 1000, 1 << 24

Directory = dict[int, bytes | tuple[int, ...]]
"""Tag -> text or a long array of bytes as bytes, or numbers; a rational is two numbers in a row."""


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of the segments before the first scan, markers included.

    `content[start:end]` is the whole segment with its 0xFF, marker and length. Bytes between
    segments, for example behind a segment with a wrong length, are skipped as libjpeg skips them.
    """
    position = 2
    while (position := content.find(b"\xff", position)) >= 0 and position + 4 <= len(content):
        marker = content[position + 1]
        if marker in (0x00, 0xFF):
            position += 1 if marker else 2
            continue
        if marker in _STANDALONE:
            yield marker, position, position + 2
            position += 2
            continue
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            return
        length = max(2, int.from_bytes(content[position + 2 : position + 4], "big"))
        yield marker, position, min(position + 2 + length, len(content))
        position += 2 + length


def is_tiff(content: bytes) -> bool:
    """Return whether a file starts like a TIFF; the whole file then has the layout of an EXIF block."""
    return content[:4] in (b"II*\x00", b"MM\x00*")


def is_progressive(content: bytes) -> bool:
    """Return whether a JPEG is coded in several passes over the whole image (frames of SOF2, 6, 10, 14)."""
    return any(marker in _PROGRESSIVE for marker, _, _ in jpeg_segments(content))


def jpeg_scans(content: bytes, most: int) -> int:
    """Count the scans of a JPEG, up to `most`.

    Decoders take every marker of a scan for one, also behind damage, so all of them are counted up to the end
    of the image.
    """
    count, position = 0, 2
    while count < most and (position := content.find(b"\xff", position)) >= 0:
        marker = content[position + 1 : position + 2]
        if marker == b"\xd9":
            break
        count += marker == b"\xda"
        position += 2 if marker != b"\xff" else 1
    return count


def exif_blocks(content: bytes) -> list[bytes]:
    """Return the EXIF blocks of an image file in order, each from its TIFF header on.

    Sources: APP1 segments of JPEG; TIFF files themselves; `eXIf` chunks and ImageMagick's "Raw
    profile type exif" texts of PNG; the EXIF items of the other formats that Pillow reads.
    """
    if content.startswith(b"\xff\xd8\xff"):
        return [
            content[start + 4 + len(EXIF_MARK) : end]
            for marker, start, end in jpeg_segments(content)
            if marker == 0xE1 and content.startswith(EXIF_MARK, start + 4)
        ]
    if is_tiff(content):
        return [content]
    if content.startswith(PNG_SIGNATURE):
        return list(_png_exif(content))
    try:
        with open_image(content) as image:
            block = image.info.get("exif")
    except Exception:  # each of Pillow's formats has its own way to fail on damage
        return []
    return [block.removeprefix(EXIF_MARK)] if isinstance(block, bytes) else []


def _png_exif(content: bytes) -> Iterator[bytes]:
    try:
        for kind, body in png_chunks(content):
            if kind == b"eXIf":
                yield body.removeprefix(EXIF_MARK)
    except ValueError:
        pass
    for keyword, text in png_texts(content):
        if keyword in (b"Raw profile type exif", b"Raw profile type APP1"):
            yield raw_profile(text).removeprefix(EXIF_MARK)


def read_directory(tiff: bytes, offset: int | None = None) -> Directory:
    """Read one image file directory of a TIFF block.

    Args:
        tiff: Starts with the byte order mark `II` or `MM`.
        offset: Position of the directory in the block; None = the first directory.

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
            if code == "B" and values > _MAX_VALUES:
                code = "s"
            if code is None or values > (_MAX_BYTES if code == "s" else _MAX_VALUES):
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


def orientation(content: bytes) -> int:
    """Return how the decoded pixels of an image file have to be turned, by its EXIF blocks.

    Returns:
        EXIF orientation 1 to 8: of the first block with a valid one; 1 (upright) where there is
        none, and for TIFF files, which Pillow turns upright itself.
    """
    for block in () if is_tiff(content) else exif_blocks(content):
        value = read_directory(block).get(ORIENTATION)
        if isinstance(value, tuple) and value and 1 <= value[0] <= 8:
            return value[0]
    return 1
