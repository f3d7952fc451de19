"""Generated images with positions: EXIF blocks byte by byte, and XMP packets."""

import io
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8).repeat(3, 0).repeat(3, 1)

Rational = tuple[int, int]


def gps_block(
    latitude: Sequence[Rational],
    longitude: Sequence[Rational],
    letters: tuple[bytes, bytes] = (b"N", b"E"),
    order: str = "<",
) -> bytes:
    """A TIFF block with nothing but a position; negative rationals as signed ones."""
    parts = (latitude, longitude)
    types = [10 if any(min(pair) < 0 for pair in part) else 5 for part in parts]
    at = 26 + 2 + 4 * 12 + 4
    places = (at, at + 8 * len(latitude))
    entries = b""
    for n in range(2):
        letter = letters[n].ljust(4, b"\x00")
        entries += struct.pack(order + "HHI4s", 2 * n + 1, 2, 2, letter)
        entries += struct.pack(order + "HHII", 2 * n + 2, types[n], len(parts[n]), places[n])
    values = b"".join(
        struct.pack(order + ("ii" if types[n] == 10 else "II"), *pair)
        for n in range(2)
        for pair in parts[n]
    )
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    first = struct.pack(order + "HHHIII", 1, 0x8825, 4, 1, 26, 0)
    return start + first + struct.pack(order + "H", 4) + entries + bytes(4) + values


def saved(form: str, **options) -> bytes:
    """PIXELS as a file."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, form, **options)
    return file.getvalue()


def with_block(block: bytes) -> bytes:
    """A JPEG with an EXIF block."""
    return saved("JPEG", exif=b"Exif\x00\x00" + block)


def xmp(properties: str, inner: str = "") -> bytes:
    """An XMP packet with properties as attributes and elements."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" {properties}>{inner}'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()
