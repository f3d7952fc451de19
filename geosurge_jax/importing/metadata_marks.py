"""Search the bytes of an image file for marks of metadata, wherever they stand.

The marks are long enough not to occur by chance in the coded pixels of one image in a million.
"""

import re
import zlib

from geosurge_jax.importing.color_profile import MAX_PROFILE

_MARKS = {
    "EXIF": (b"Exif\x00\x00", b"II*\x00\x08\x00\x00\x00", b"MM\x00*\x00\x00\x00\x08"),
    "XMP": (b"http://ns.adobe.com/", b"<x:xmpmeta", b"<?xpacket", b"<rdf:RDF", b":com.adobe.xmp"),
    "Photoshop or IPTC": (b"Photoshop 3.0\x00", b"8BIM\x04\x04", b"8BIM\x04\x22", b"8BIM\x04\x24"),
    "IPTC": (b"\x1c\x02\x00\x00\x02\x00", b"\x1c\x01\x5a\x00\x03\x1b%G"),
    "ImageMagick profile": (b"Raw profile type ",),
    "second picture": (b"MPF\x00II*\x00", b"MPF\x00MM\x00*", b"ftypavif", b"ftypheic", b"ftypmp42"),
    "thumbnail": (b"\x00\x10JFXX\x00",),
    "FlashPix": (b"FPXR\x00\x00",),
    "maker note": (
        b"Nikon\x00\x02",
        b"OLYMP\x00",
        b"OLYMPUS\x00",
        b"OM SYSTEM\x00",
        b"Apple iOS\x00",
        b"FUJIFILM\x0c",
        b"Panasonic\x00",
        b"SONY DSC \x00",
        b"PENTAX \x00",
        b"LEICA\x00",
        b"Ricoh\x00",
        b"SIGMA\x00\x00\x00",
        b"samsung\x00",
        b"QVC\x00\x00\x00",
    ),
}
_PNG_CHUNK = re.compile(b"eXIf|tEXt|zTXt|iTXt|tIME|zxIf|caBX")
_RIFF_CHUNK = re.compile(b"EXIF|XMP |C2PA")
_JPEG_START = b"\xff\xd8\xff"
_JFIF_START = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"


def find_metadata(content: bytes) -> str:
    """Return the name of the first mark of metadata in an image file; empty where there is none.

    Compressed colour profiles are searched too. Names of chunks count only where a plausible length
    stands next to them.
    """
    for searched in (content, *_packed_profiles(content)):
        for name, marks in _MARKS.items():
            if any(mark in searched for mark in marks):
                return name
    for found in _PNG_CHUNK.finditer(content):
        length = int.from_bytes(content[found.start() - 4 : found.start()], "big")
        if found.start() >= 4 and found.end() + length <= len(content):
            return f"PNG chunk {found.group().decode()}"
    for found in _RIFF_CHUNK.finditer(content):
        length = int.from_bytes(content[found.end() : found.end() + 4], "little")
        if found.end() + 4 + length <= len(content):
            return f"WebP chunk {found.group().decode()}"
    # In a JPEG's coded pixels the start of another one cannot occur; elsewhere three bytes are too few.
    start = _JPEG_START if content.startswith(_JPEG_START) else _JFIF_START
    return "second picture" if content.rfind(start) > 0 else ""


def _packed_profiles(content: bytes) -> list[bytes]:
    """Unpack the colour profiles of a PNG, as far as they can be."""
    profiles = []
    for found in re.finditer(b"iCCP[^\\x00]{1,79}\\x00\\x00", content):
        try:
            profiles.append(zlib.decompressobj().decompress(content[found.end() :], MAX_PROFILE))
        except zlib.error:
            continue
    return profiles
