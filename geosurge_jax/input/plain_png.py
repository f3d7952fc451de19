"""Class maps in the plainest form of PNG: gray, 8 bits, rows unfiltered.

Any reader of PNG reads them. Filters help photos; of class maps they make larger files, and undoing them is
most of the time that it takes to read one. So maps are written without, and what has none is read here, in a
fifth of Pillow's time. Layout: PNG, third edition (W3C 2025), sections 5 to 10.
"""

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">II5B")
_KIND = (8, 0, 0, 0, 0)  # bits, gray, deflate, the standard filters, not interlaced


def write_plain_png(classes: np.ndarray) -> bytes:
    """Encode a class map uint8 [H, W]; the same map gives the same bytes with the same zlib."""
    height, width = classes.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # each row begins with its filter, 0 = none
    rows[:, 1:] = classes
    chunks = (
        (b"IHDR", _HEADER.pack(width, height, *_KIND)),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", _check(kind, content))
        for kind, content in chunks
    )


def read_plain_png(content: bytes, max_pixels: int) -> np.ndarray | None:
    """Decode what `write_plain_png` may have written.

    Args:
        content: A file.
        max_pixels: Larger ones are left to others.

    Returns:
        uint8 [H, W]; None where it is anything else, damaged files too, which others can say more about.
    """
    chunks = _chunks(content)
    if chunks is None or [kind for kind, _ in chunks] != [b"IHDR", b"IDAT", b"IEND"]:
        return None
    header, body = chunks[0][1], chunks[1][1]
    if len(header) != _HEADER.size:
        return None
    width, height, *kind = _HEADER.unpack(header)
    if tuple(kind) != _KIND or not 0 < width * height <= max_pixels:
        return None
    size = height * (1 + width)
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(body, size + 1)
    except zlib.error:
        return None
    if len(unpacked) != size or not stream.eof:
        return None
    rows = np.frombuffer(unpacked, np.uint8).reshape(height, 1 + width)
    return None if rows[:, 0].any() else rows[:, 1:]


def _chunks(content: bytes) -> list[tuple[bytes, bytes]] | None:
    """Kind and content of the chunks; None where one is damaged."""
    if not content.startswith(_SIGNATURE):
        return None
    chunks, position = [], len(_SIGNATURE)
    while position + 12 <= len(content):
        end = position + 8 + int.from_bytes(content[position : position + 4], "big")
        kind, inner = content[position + 4 : position + 8], content[position + 8 : end]
        if content[end : end + 4] != struct.pack(">I", _check(kind, inner)):
            return None
        chunks.append((kind, inner))
        position = end + 4
    return chunks if position == len(content) else None


def _check(kind: bytes, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(kind))
