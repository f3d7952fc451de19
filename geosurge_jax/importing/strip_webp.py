"""Strip a still WebP down to what decoding needs. Layout: RFC 9649."""

from collections.abc import Iterator

from geosurge_jax.importing.color_profile import is_color_profile

_CODED = (b"VP8 ", b"VP8L", b"ALPH")
_PROFILE, _ALPHA = 0x20, 0x10  # flags of the VP8X header
_SLACK = 8


def strip_webp(content: bytes) -> bytes:
    """Return a WebP of one picture without metadata and trailers.

    Kept: the coded picture with its alpha channel, and a whole ICC profile. The header is rewritten.

    Raises:
        ValueError: Anything irregular: wrong lengths, repeated chunks, no picture, an animation.
    """
    return _file(_kept(content))


def shortened_webps(content: bytes) -> Iterator[bytes]:
    """Yield a stripped WebP with the last 8 bytes of each coded chunk missing.

    The pixels change in each of them unless bytes that no decoder needs stand at the end of a chunk.
    """
    chunks = _kept(content)
    for kind in _CODED:
        if kind in chunks:
            yield _file(chunks | {kind: chunks[kind][:-_SLACK]})


def _kept(content: bytes) -> dict[bytes, bytes]:
    """Return the chunks that are kept, by kind in the order of a file."""
    chunks: dict[bytes, bytes] = {}
    for kind, body in _chunks(content):
        if kind in chunks and kind in (b"VP8X", b"ICCP", *_CODED):
            raise ValueError(f"WebP with two chunks {kind!r}")
        chunks[kind] = body
    if (b"VP8 " in chunks) == (b"VP8L" in chunks) or b"ANIM" in chunks or b"ANMF" in chunks:
        raise ValueError("WebP without one still picture")
    kept = {}
    if b"VP8X" in chunks:
        header = chunks[b"VP8X"]
        if len(header) != 10:
            raise ValueError("WebP header of a wrong length")
        keeps_profile = is_color_profile(chunks.get(b"ICCP", b""))
        flags = header[0] & (_ALPHA | (_PROFILE if keeps_profile else 0))
        kept[b"VP8X"] = bytes([flags, 0, 0, 0]) + header[4:]
        if flags & _PROFILE:
            kept[b"ICCP"] = chunks[b"ICCP"]
    for kind in (b"ALPH", b"VP8 ", b"VP8L"):
        if kind in chunks and (kind != b"ALPH" or b"VP8X" in kept):
            kept[kind] = chunks[kind]
    return kept


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    stop = 8 + int.from_bytes(content[4:8], "little")
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or stop > len(content):
        raise ValueError("WebP of a wrong length")
    position = 12
    while position < stop:
        end = position + 8 + int.from_bytes(content[position + 4 : position + 8], "little")
        if end > stop or position + 8 > stop:
            raise ValueError(f"wrong chunk length at byte {position} of the WebP")
        yield content[position : position + 4], content[position + 8 : end]
        position = end + end % 2


def _file(chunks: dict[bytes, bytes]) -> bytes:
    body = b"WEBP"
    for kind, content in chunks.items():
        body += kind + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
