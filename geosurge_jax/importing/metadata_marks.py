"""Search the bytes of an image file for marks of metadata, wherever they stand.

The marks are long enough not to occur by chance in the coded pixels of one image in a million.
"""

import zlib
from collections.abc import Iterator

from geosurge_jax.importing.color_profile import MAX_PROFILE

_MARKS = {
    "EXIF": (b"Exif\x00\x00", b"II*\x00\x08\x00\x00\x00", b"MM\x00*\x00\x00\x00\x08"),
    "XMP": (b"http://ns.adobe.com/", b"<x:xmpmeta", b"<?xpacket", b"<rdf:RDF", b":com.adobe.xmp"),
    "Photoshop": (b"Photoshop 3.0\x00", b"8BIM\x04"),
    "IPTC": (b"\x1c\x02\x00\x00\x02\x00",),
    "ImageMagick profile": (b"Raw profile type ",),
    "second picture": (b"ftypavif", b"ftypheic"),
    "thumbnail": (b"\x00\x10JFXX\x00",),
    "FlashPix": (b"FPXR\x00\x00",),
    "maker note": (
        b"Nikon\x00\x02",
        b"OLYMP\x00",
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
_PNG_CHUNKS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"caBX")
_RIFF_CHUNKS = (b"EXIF", b"XMP ", b"C2PA")
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
    for kind in _PNG_CHUNKS:
        for at in _places(content, kind):
            length = int.from_bytes(content[at - 4 : at], "big") if at >= 4 else len(content)
            if at + 4 + length <= len(content):
                return f"PNG chunk {kind.decode()}"
    for kind in _RIFF_CHUNKS:
        for at in _places(content, kind):
            length = int.from_bytes(content[at + 4 : at + 8], "little")
            if at + 8 + length <= len(content):
                return f"WebP chunk {kind.decode()}"
    # In a JPEG's coded pixels the start of another one cannot occur; elsewhere three bytes are too few.
    start = _JPEG_START if content.startswith(_JPEG_START) else _JFIF_START
    return "second picture" if content.rfind(start) > 0 else ""


def _places(content: bytes, mark: bytes) -> Iterator[int]:
    at = content.find(mark)
    while at >= 0:
        yield at
        at = content.find(mark, at + 1)


def _packed_profiles(content: bytes) -> Iterator[bytes]:
    """Unpack the colour profiles of a PNG, as far as they can be."""
    for at in _places(content, b"iCCP"):
        packed = content[at + 4 :].partition(b"\x00")[2][1:]
        try:
            yield zlib.decompressobj().decompress(packed, MAX_PROFILE)
        except zlib.error:
            continue
