"""Take everything that is not the picture out of a JPEG, PNG or WebP file, losslessly.

Photos carry positions, serial numbers, names, thumbnails and second pictures in EXIF, XMP, IPTC,
comments, maker notes and trailers. What stays: pixels as they are coded, what decoding them needs,
and the colour profile. Layouts: ISO/IEC 10918-1 annex B, the PNG and the WebP container
specifications.
"""

from geosurge_jax.input.exif import jpeg_segments

_JPEG_KEPT = {0xE0: b"JFIF\x00", 0xE2: b"ICC_PROFILE\x00", 0xEE: b"Adobe"}
_JFIF_PLAIN = 18  # bytes of a JFIF segment without a thumbnail
_PNG_KEPT = {b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT"}
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"ALPH", b"ICCP"}
_WEBP_ANIMATED = 0b10
_WEBP_FLAGS_KEPT = 0b00110000  # colour profile, alpha; not EXIF, XMP or animation


def is_jpeg(content: bytes) -> bool:
    """Whether a file starts like a JPEG."""
    return content.startswith(b"\xff\xd8\xff")


def is_png(content: bytes) -> bool:
    """Whether a file starts like a PNG."""
    return content.startswith(b"\x89PNG\r\n\x1a\n")


def is_still_webp(content: bytes) -> bool:
    """Whether a file starts like a WebP of one picture."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return False
    flags = content[20] if content[12:16] == b"VP8X" and len(content) > 20 else 0
    return not flags & _WEBP_ANIMATED


def strip_metadata(content: bytes) -> bytes:
    """The same picture without metadata, thumbnails, second pictures and trailers.

    Args:
        content: A JPEG, PNG or still WebP that decodes.

    Raises:
        ValueError: None of the three.
    """
    if is_jpeg(content):
        return _strip_jpeg(content)
    if is_png(content):
        return _strip_png(content)
    if is_still_webp(content):
        return _strip_webp(content)
    raise ValueError(f"file starts with {content[:4]!r}, expected JPEG, PNG or still WebP")


def _strip_jpeg(content: bytes) -> bytes:
    kept, position = [content[:2]], 2
    for marker, start, end in jpeg_segments(content):
        position = end
        application = 0xE0 <= marker <= 0xEF or marker == 0xFE
        mark = _JPEG_KEPT.get(marker)
        thumbnail = marker == 0xE0 and end - start > _JFIF_PLAIN
        wanted = mark is not None and content[start + 4 : end].startswith(mark)
        if not application or (wanted and not thumbnail):
            kept.append(content[start:end])
    kept.append(content[position : _jpeg_end(content, position)])
    return b"".join(kept)


def _jpeg_end(content: bytes, position: int) -> int:
    """Where the end-of-image marker ends, seen from the first scan; trailers lie behind it."""
    while (position := content.find(b"\xff", position)) >= 0 and position + 3 < len(content):
        marker = content[position + 1]
        if marker == 0xD9:
            return position + 2
        if marker == 0xFF:
            position += 1
        elif marker == 0 or 0xD0 <= marker <= 0xD7:
            position += 2
        else:
            position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return len(content)


def _strip_png(content: bytes) -> bytes:
    kept, position = [content[:8]], 8
    while position + 12 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        kind = content[position + 4 : position + 8]
        end = position + 12 + length
        if kind[:1].isupper() or kind in _PNG_KEPT:
            kept.append(content[position:end])
        if kind == b"IEND":
            break
        position = end
    return b"".join(kept)


def _strip_webp(content: bytes) -> bytes:
    kept, position = [], 12
    while position + 8 < len(content):
        kind = content[position : position + 4]
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        end = position + 8 + length + length % 2
        if kind == b"VP8X":
            flags = content[position + 8] & _WEBP_FLAGS_KEPT
            kept.append(content[position : position + 8] + bytes([flags]))
            kept.append(content[position + 9 : end])
        elif kind in _WEBP_KEPT:
            kept.append(content[position:end])
        position = end
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
