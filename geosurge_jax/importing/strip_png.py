"""Strip a PNG down to what decoding needs. Layout: PNG, third edition (W3C 2025)."""

import struct
import zlib

from geosurge_jax.importing.color_profile import MAX_PROFILE, is_color_profile
from geosurge_jax.input.png_chunks import PNG_SIGNATURE, png_chunk, png_chunks, unpacked

_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_LARGEST = {b"tRNS": 256, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"sBIT": 4}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_BLOCK = 1 << 16


def strip_png(content: bytes) -> bytes:
    """Return a PNG without metadata, animation and trailers.

    Kept: the critical chunks, transparency, and the chunks that describe colours.

    Raises:
        ValueError: Anything irregular: damaged or unknown critical chunks, chunks in a wrong order,
            or more pixel data than the header announces.
    """
    kept: list[tuple[bytes, bytes]] = []
    for kind, body in png_chunks(content):
        if kind[:1].isupper() and kind not in _CRITICAL:
            raise ValueError(f"unknown critical PNG chunk {kind!r}")
        if kind == b"iCCP":
            body = _plain_profile(body)
        if kind in _CRITICAL or (kind == b"iCCP" and body) or len(body) <= _LARGEST.get(kind, -1):
            kept.append((kind, body))
    kinds = [kind for kind, _ in kept]
    first, count = kinds.index(b"IDAT") if b"IDAT" in kinds else 0, kinds.count(b"IDAT")
    once = set(kinds) - {b"IDAT"}
    if (
        kinds[0] != b"IHDR"
        or kinds[first : first + count] != [b"IDAT"] * max(1, count)
        or any(kinds.count(kind) > 1 for kind in once)
        or kept[-1][1]
    ):
        raise ValueError(f"PNG chunks in an irregular order: {kinds[:20]}")
    data = b"".join(body for kind, body in kept if kind == b"IDAT")
    if _unpacked_length(data) != _pixel_bytes(kept[0][1]):
        raise ValueError("PNG pixel data of another length than the header announces")
    return PNG_SIGNATURE + b"".join(png_chunk(kind, body) for kind, body in kept)


def _plain_profile(body: bytes) -> bytes:
    """Return an iCCP chunk with a neutral name; empty where the profile is not valid."""
    profile = unpacked(body.partition(b"\x00")[2][1:], MAX_PROFILE)
    if profile is None or not is_color_profile(profile):
        return b""
    return b"icc\x00\x00" + zlib.compress(profile)


def _unpacked_length(packed: bytes) -> int:
    """Return the length of a zlib stream once unpacked; -1 where it is not exactly one whole stream."""
    stream, length = zlib.decompressobj(), 0
    try:
        while not stream.eof and packed:
            length += len(stream.decompress(packed, _BLOCK))
            packed = stream.unconsumed_tail
    except zlib.error:
        return -1
    return length if stream.eof and not stream.unused_data and not packed else -1


def _pixel_bytes(header: bytes) -> int:
    """Return how many bytes the filtered rows of a PNG have, by its IHDR chunk."""
    try:
        width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", header)
        bits = depth * _CHANNELS[color]
    except (struct.error, KeyError):
        raise ValueError(f"unknown PNG header {header!r}") from None
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total
