"""Small images full of metadata, mutations of their structure, and a search for what was planted.

The search knows nothing of the product: Pillow's own reading, and the planted bytes themselves.
"""

import io
import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from tests.importing.gps_files import gps_block, xmp

SECRET = b"SECRET-GPS-OWNER"
LATITUDE = [(48, 1), (51, 1), (2442_137, 100_000)]
BLOCK = gps_block(LATITUDE, [(2, 1), (21, 1), (8, 1)]) + SECRET
PACKET = xmp('exif:GPSLatitude="48,51.4N" exif:GPSLongitude="2,21E"', SECRET.decode())
IPTC = b"\x1c\x02\x00\x00\x02\x00\x02\x1c\x02\x5a" + struct.pack(">H", len(SECRET)) + SECRET
PHOTOSHOP = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + struct.pack(">I", len(IPTC)) + IPTC
RATIONALS = [struct.pack(order + "II", 2442_137, 100_000) for order in "<>"]
Parts = list[bytes]


def jpeg_parts(rng: np.random.Generator) -> Parts:
    """Segments of a JPEG: metadata, tables, scans with their data, a trailer."""
    file = io.BytesIO()
    small = _image(rng)
    small.save(file, "JPEG", quality=int(rng.integers(30, 96)), progressive=bool(rng.integers(2)))
    plain, parts, position = file.getvalue(), [b"\xff\xd8"], 2
    while plain[position + 1] != 0xD9:
        end = position + 2 + int.from_bytes(plain[position + 2 : position + 4], "big")
        if plain[position + 1] == 0xDA:
            while plain[end] != 0xFF or plain[end + 1] == 0:
                end += 1
        parts.append(plain[position:end])
        position = end
    planted = [
        segment(0xE1, b"Exif\x00\x00" + BLOCK),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + PACKET),
        segment(0xED, PHOTOSHOP),
        segment(0xE2, b"MPF\x00II*\x00" + SECRET),
        segment(0xE0, b"JFXX\x00\x10" + plain + SECRET),
        segment(0xFE, b"Nikon\x00\x02" + SECRET),
    ]
    return [
        *parts[:1],
        *planted,
        *parts[1:],
        b"\xff\xd9",
        plain + segment(0xE1, b"Exif\x00\x00" + BLOCK),
    ]


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def png_parts(rng: np.random.Generator) -> Parts:
    """Signature and chunks of a PNG."""
    file = io.BytesIO()
    image = _image(rng)
    if rng.integers(2):
        image = image.quantize(16)
    image.save(file, "PNG")
    plain, parts, position = file.getvalue(), [file.getvalue()[:8]], 8
    while position < len(plain):
        end = position + 12 + int.from_bytes(plain[position : position + 4], "big")
        parts.append(plain[position:end])
        position = end
    raw = b"\nexif\n%8d\n" % (6 + len(BLOCK)) + (b"Exif\x00\x00" + BLOCK).hex().encode() + b"\n"
    planted = [
        chunk(b"eXIf", BLOCK),
        chunk(b"tEXt", b"Raw profile type exif\x00" + raw),
        chunk(b"tEXt", b"Author\x00" + SECRET),
        chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + PACKET),
        chunk(b"iCCP", SECRET + b"\x00\x00" + zlib.compress(SECRET * 9)),
        chunk(b"prVt", SECRET),
    ]
    return [*parts[:2], *planted, *parts[2:], chunk(b"eXIf", BLOCK)]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def webp_parts(rng: np.random.Generator) -> Parts:
    """Header and chunks of a WebP."""
    file = io.BytesIO()
    _image(rng).save(
        file, "WEBP", lossless=bool(rng.integers(2)), exif=BLOCK, xmp=PACKET, icc_profile=SECRET
    )
    plain, parts, position = file.getvalue(), [file.getvalue()[:12]], 12
    while position < len(plain):
        length = int.from_bytes(plain[position + 4 : position + 8], "little")
        parts.append(plain[position : position + 8 + length + length % 2])
        position += len(parts[-1])
    return [*parts, b"PRVT" + len(SECRET).to_bytes(4, "little") + SECRET, BLOCK]


def _image(rng: np.random.Generator) -> Image.Image:
    pixels = rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    return Image.fromarray(pixels)


MAKERS: dict[str, Callable[[np.random.Generator], Parts]] = {
    "JPEG": jpeg_parts,
    "PNG": png_parts,
    "WEBP": webp_parts,
}


def mutant(form: str, rng: np.random.Generator) -> bytes:
    """A file whose parts were inserted, deleted, swapped, doubled, lengthened or interrupted."""
    parts = MAKERS[form](rng)
    for _ in range(rng.integers(1, 4 if form == "JPEG" else 2)):  # the other decoders forgive less
        _mutate(parts, form, rng)
    content = b"".join(parts)
    if form == "WEBP" and rng.integers(4):  # mostly with the right length of the whole file
        length = len(content.removesuffix(BLOCK)) - 8
        content = content[:4] + length.to_bytes(4, "little") + content[8:]
    return content


def _mutate(parts: Parts, form: str, rng: np.random.Generator) -> None:
    at, other = rng.integers(1, len(parts), 2)
    change = rng.integers(7)
    if change == 0:
        parts.insert(at, parts[other])
    elif change == 1 and len(parts) > 3:
        del parts[at]
    elif change == 2:
        parts[at], parts[other] = parts[other], parts[at]
    elif change == 3:
        stray = (b"\x00", b"\xff", b"\xff\x00", bytes(3), SECRET, BLOCK, b"\xff\xff\xff")
        parts.insert(at, stray[rng.integers(len(stray))])
    elif change == 4:
        parts[at] = _lengthened(parts[at], form, int(rng.integers(-40, 300)))
    elif change == 5:  # a chunk takes all of the next one in
        following = len(parts[at + 1]) if at + 1 < len(parts) else 0
        parts[at] = _lengthened(parts[at], form, following)
    else:  # metadata stands inside a part
        cut = rng.integers(len(parts[at]) + 1)
        parts[at] = parts[at][:cut] + parts[other] + parts[at][cut:]
        if form == "PNG" and parts[at][4:8] != b"PLTE" and rng.integers(4):
            parts[at] = chunk(parts[at][4:8], parts[at][8:])  # sound again; colours are pixels


def _lengthened(part: bytes, form: str, by: int) -> bytes:
    """The part with another length in its header and the same bytes."""
    start, size = {"JPEG": (2, 2), "PNG": (0, 4), "WEBP": (4, 4)}[form]
    order = "little" if form == "WEBP" else "big"
    length = int.from_bytes(part[start : start + size], order) + by
    return part[:start] + (max(0, length) % 256**size).to_bytes(size, order) + part[start + size :]


def leaks(stored: bytes) -> Sequence[str]:
    """What of the planted metadata a stored file shows."""
    found = [
        repr(secret)
        for secret in (SECRET, BLOCK[:40], *RATIONALS, PACKET[50:90])
        if secret in stored
    ]
    with Image.open(io.BytesIO(stored)) as image:
        image.load()
        found += [key for key in ("exif", "xmp", "comment", "photoshop", "mp") if key in image.info]
        found += ["getexif"] if dict(image.getexif()) else []
        found += [
            str(key) for key, value in image.info.items() if SECRET.decode() in str((key, value))
        ]
        profile = image.info.get("icc_profile") or b""
    return [*found, "profile"] if SECRET in profile else found
