"""Chunks of PNG files: reading, writing, and the texts among them.

Layout: PNG, third edition (W3C 2025), sections 5 and 11.
"""

import struct
import zlib
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_MAX_TEXT = 1 << 24  # bytes of an unpacked text; more is a decompression bomb
_DECODED = {b"tRNS"}  # ancillary chunks that change pixels


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Encode one chunk: length, kind, body and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", _checksum(kind, body))


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of each chunk, up to IEND.

    Raises:
        ValueError: The file is no PNG, a chunk is damaged, or IEND is missing. Chunks before the
            damage are yielded first.
    """
    if not content.startswith(PNG_SIGNATURE):
        raise ValueError(f"file starts with {content[:8]!r}, expected {PNG_SIGNATURE!r}")
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(content):
        end = position + 8 + int.from_bytes(content[position : position + 4], "big")
        kind, body = content[position + 4 : position + 8], content[position + 8 : end]
        if content[end : end + 4] != struct.pack(">I", _checksum(kind, body)):
            raise ValueError(f"PNG chunk {kind!r} at byte {position} is damaged")
        yield kind, body
        if kind == b"IEND":
            return
        position = end + 4
    raise ValueError("PNG without IEND")


def only_pixels(content: bytes) -> bytes:
    """Return a PNG without the chunks that do not change pixels.

    Pillow rejects files with much text or a large colour profile. From the first damaged chunk on,
    the file stays as it is.
    """
    kept, position = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    try:
        for kind, body in png_chunks(content):
            position += 12 + len(body)
            if kind[:1].isupper() or kind in _DECODED:
                kept.append(png_chunk(kind, body))
    except ValueError:
        pass
    return b"".join(kept) + content[position:]


def png_texts(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keyword and unpacked text of the chunks tEXt, zTXt and iTXt before any damage.

    Texts that cannot be unpacked, or to more than 16 MiB, are left out.
    """
    try:
        for kind, body in png_chunks(content):
            keyword, _, rest = body.partition(b"\x00")
            text: bytes | None = None
            if kind == b"tEXt":
                text = rest
            elif kind == b"zTXt":
                text = unpacked(rest[1:], _MAX_TEXT)
            elif kind == b"iTXt":
                text = rest[2:].split(b"\x00", 2)[-1]
                text = unpacked(text, _MAX_TEXT) if rest[:1] == b"\x01" else text
            if text is not None:
                yield keyword, text
    except ValueError:
        pass


def raw_profile(text: bytes) -> bytes:
    """Decode ImageMagick's text form of a profile: a name, a length and hexadecimal digits.

    Returns:
        The profile; empty where the text has another form.
    """
    parts = text.split(None, 2)
    try:
        return bytes.fromhex(parts[2].decode("ascii")) if len(parts) == 3 else b""
    except ValueError:
        return b""


def unpacked(packed: bytes, limit: int) -> bytes | None:
    """Unpack one whole zlib stream.

    Returns:
        At most `limit` bytes; None where the stream is damaged, longer, or has bytes behind it.
    """
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(packed, limit + 1)
    except zlib.error:
        return None
    whole = stream.eof and not stream.unused_data and len(content) <= limit
    return content if whole else None


def _checksum(kind: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(kind))
