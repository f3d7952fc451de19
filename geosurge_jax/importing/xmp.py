"""Positions in XMP packets: inside image files, and as `.xmp` files beside them.

Layout: XMP specification (ISO 16684-1), part 2, "GPSCoordinate": "DDD,MM,SSk" or "DDD,MM.mmk".
"""

import codecs
import re
from collections.abc import Mapping
from xml.parsers import expat

from geosurge_jax.importing.positions import checked_degrees, checked_position
from geosurge_jax.input.exif import exif_blocks, is_tiff, jpeg_segments, read_directory
from geosurge_jax.input.image_formats import open_image
from geosurge_jax.input.png_chunks import PNG_SIGNATURE, png_texts, raw_profile

MAX_PACKET = 1 << 24
"""Bytes of an XMP packet at most; larger ones are not read."""

_EXIF = "http://ns.adobe.com/exif/1.0/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_LATITUDE, _LONGITUDE = f"{_EXIF} GPSLatitude", f"{_EXIF} GPSLongitude"
_COORDINATE = re.compile(
    r"\s*(\d{1,3}),(\d{1,4}(?:\.\d+)?)(?:,(\d{1,4}(?:\.\d+)?))?\s*([A-Za-z])\s*", re.A
)
_JPEG_MARK = b"http://ns.adobe.com/xap/1.0/\x00"
_TIFF_TAG = 700


def xmp_packet(content: bytes) -> bytes | None:
    """Return the XMP packet of an image file; None where there is none.

    Sources: APP1 of JPEG, tag 700 of TIFF, text chunks of PNG, and the XMP items of the other formats
    that Pillow reads.
    """
    if content.startswith(b"\xff\xd8\xff"):
        for marker, start, end in jpeg_segments(content):
            if marker == 0xE1 and content.startswith(_JPEG_MARK, start + 4):
                return content[start + 4 + len(_JPEG_MARK) : end]
        return None
    if content.startswith(PNG_SIGNATURE):
        for keyword, text in png_texts(content):
            if keyword == b"XML:com.adobe.xmp":
                return text
            if keyword == b"Raw profile type xmp":
                return raw_profile(text)
        return None
    if is_tiff(content):
        return _tiff_packet(content)
    try:
        with open_image(content) as image:
            packet = image.info.get("xmp")
    except Exception:  # each of Pillow's formats has its own way to fail on damage
        return None
    return packet if isinstance(packet, bytes) else None


def xmp_latlng(packet: bytes) -> tuple[float, float] | None:
    """Return the position where a photo was taken, according to an XMP packet.

    Only properties of the photo itself count, not those of places that it shows. Documents with a
    document type, in which entities could be declared, are not read.

    Args:
        packet: XML in UTF-8 or UTF-16, for example a whole `.xmp` file.

    Returns:
        Degrees, latitude first, not checked against any range; None where the packet states no position
        or is not readable.

    Raises:
        ValueError: The position is incomplete or not plausible; one line.
    """
    wide = packet.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    found = _properties(packet if wide else packet.strip(b"\x00"))
    if not found:
        return None
    latitude = _degrees(found, _LATITUDE, "NS")
    longitude = _degrees(found, _LONGITUDE, "EW")
    return checked_position(latitude, longitude, "XMP")


def _degrees(found: Mapping[str, str], name: str, letters: str) -> float:
    text = found.get(name, "")
    match = _COORDINATE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"GPS position {text[:40]!r} in XMP, expected the form 48,51.4{letters[0]}"
        )
    degrees, minutes, seconds, letter = match.groups()
    parts = [float(degrees), float(minutes), float(seconds or 0)]
    return checked_degrees(parts, letter.upper(), letters, "XMP")


def _properties(packet: bytes) -> dict[str, str]:
    """Return GPSLatitude and GPSLongitude of the descriptions directly below rdf:RDF."""
    found: dict[str, str] = {}
    path: list[str] = []
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def keep(name: str, text: str) -> None:
        if name in (_LATITUDE, _LONGITUDE):
            found[name] = found.get(name, "") + text

    def start(name: str, attributes: dict[str, str]) -> None:
        path.append(name)
        if path[-2:] == [f"{_RDF} RDF", f"{_RDF} Description"]:
            for attribute, text in attributes.items():
                keep(attribute, text)

    def text_of_element(text: str) -> None:
        if path[-3:-1] == [f"{_RDF} RDF", f"{_RDF} Description"]:
            keep(path[-1], text)

    def reject(*_: object) -> None:
        raise ValueError("XMP with a document type")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: path.pop() and None
    parser.CharacterDataHandler = text_of_element
    parser.StartDoctypeDeclHandler = reject
    try:
        if len(packet) <= MAX_PACKET:
            parser.Parse(packet, True)
    except (expat.ExpatError, ValueError, LookupError):
        return {}
    return found


def _tiff_packet(content: bytes) -> bytes | None:
    packet = read_directory(exif_blocks(content)[0]).get(_TIFF_TAG)
    return bytes(packet) if packet else None
