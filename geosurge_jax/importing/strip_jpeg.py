"""Strip a JPEG down to what decoding needs. Layout: ISO/IEC 10918-1 annex B."""

from collections.abc import Iterator

from geosurge_jax.importing.color_profile import is_color_profile

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_HUFFMAN, _ARITHMETIC, _QUANTIZATION, _RESTART_INTERVAL = 0xC4, 0xCC, 0xDB, 0xDD
_TABLES = {_HUFFMAN, _ARITHMETIC, _QUANTIZATION, _RESTART_INTERVAL}
_FRAMES = set(range(0xC0, 0xD0)) - {_HUFFMAN, 0xC8, _ARITHMETIC}
_APPLICATION = {*range(0xE0, 0xF0), 0xFE}  # 0xFE: comments
_RESTARTS = range(0xD0, 0xD8)
_JFIF, _ICC, _ADOBE = 0xE0, 0xE2, 0xEE
_ICC_MARK = b"ICC_PROFILE\x00"
_JFIF_LENGTH, _ADOBE_LENGTH = 18, 16  # of whole segments without thumbnails or extra bytes


def strip_jpeg(content: bytes) -> bytes:
    """Return a JPEG without metadata, thumbnails, second pictures and trailers.

    Kept: frames, tables and scans as they are, a plain JFIF header, Adobe's colour transform, and a
    whole ICC profile. Fill bytes between segments are dropped.

    Raises:
        ValueError: Anything irregular, such as bytes between segments; names the byte.
    """
    segments = list(_segments(content))
    profile = b"".join(part[18:] for marker, part in segments if _is_icc(marker, part))
    keeps_profile = is_color_profile(profile)
    kept = [content[:2]]
    for marker, part in segments:
        if _is_icc(marker, part):
            wanted = keeps_profile
        elif marker == _JFIF:
            wanted = len(part) == _JFIF_LENGTH and part.startswith(b"JFIF\x00", 4)
        elif marker == _ADOBE:
            wanted = len(part) == _ADOBE_LENGTH and part.startswith(b"Adobe", 4)
        else:
            wanted = marker not in _APPLICATION
        if wanted:
            kept.append(part)
    return b"".join(kept)


def _is_icc(marker: int, part: bytes) -> bool:
    return marker == _ICC and part.startswith(_ICC_MARK, 4)


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and bytes of each segment up to the end of the image; scans with their data."""
    position = 2
    while position + 2 <= len(content):
        if content[position] != 0xFF:
            raise ValueError(f"byte {position} of the JPEG belongs to no segment")
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == _END:
            yield marker, content[position : position + 2]
            return
        if marker not in _TABLES | _FRAMES | _APPLICATION and marker != _SCAN:
            raise ValueError(f"unexpected marker {marker:#x} at byte {position} of the JPEG")
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        if not position + 4 <= end <= len(content):
            raise ValueError(f"wrong segment length at byte {position} of the JPEG")
        if marker not in _APPLICATION:
            _check_body(marker, content[position + 4 : end])
        if marker == _SCAN:
            end = _scan_end(content, end)
        yield marker, content[position:end]
        position = end
    raise ValueError("JPEG without end-of-image marker")


def _check_body(marker: int, body: bytes) -> None:
    """Check that a frame, a table or the head of a scan holds exactly what its kind holds.

    Decoders pass over what is left, in which a segment with a wrong length would keep the next one.

    Raises:
        ValueError: Something is missing, or left.
    """
    try:
        if marker == _HUFFMAN:
            expected = _huffman_bytes(body)
        elif marker == _QUANTIZATION:
            expected = _quantization_bytes(body)
        elif marker == _ARITHMETIC:
            expected = len(body) // 2 * 2
        elif marker == _RESTART_INTERVAL:
            expected = 2
        else:
            expected = 4 + 2 * body[0] if marker == _SCAN else 6 + 3 * body[5]
    except IndexError:
        expected = -1
    if len(body) != expected:
        raise ValueError(f"JPEG segment {marker:#x} of {len(body)} bytes, expected {expected}")


def _huffman_bytes(body: bytes) -> int:
    """Return the size of the whole tables: a byte, 16 counts, and as many values each."""
    position = 0
    while position < len(body):
        if body[position] & 0xEC:  # class 0 or 1, number 0 to 3
            return -1
        position += 17 + sum(body[position + 1 : position + 17])
    return position


def _quantization_bytes(body: bytes) -> int:
    """Return the size of the whole tables: a byte, and 64 values of one or two bytes each."""
    position = 0
    while position < len(body):
        if body[position] & 0xEC:  # precision 0 or 1, number 0 to 3
            return -1
        position += 1 + 64 * (1 + (body[position] >> 4))
    return position


def _scan_end(content: bytes, position: int) -> int:
    """Return where the first marker behind entropy-coded data stands."""
    while (position := content.find(b"\xff", position)) >= 0 and position + 1 < len(content):
        if content[position + 1] != 0 and content[position + 1] not in _RESTARTS:
            return position
        position += 2
    raise ValueError("JPEG scan without end")
