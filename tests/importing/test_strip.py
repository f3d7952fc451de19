"""Files that are not stripped losslessly, because the proof that they are clean fails."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.importing.color_profile import is_color_profile
from geosurge_jax.importing.folder_photos import stored_photo
from geosurge_jax.importing.metadata_marks import find_metadata
from geosurge_jax.importing.strip import stored_segmentation, strip_metadata
from geosurge_jax.input.images import decode_class_map, decode_image
from geosurge_jax.input.png_chunks import PNG_SIGNATURE, png_chunk, png_chunks
from tests.importing.gps_files import saved
from tests.importing.planted_metadata import BLOCK, PACKET, SECRET, leaks, segment

EXIF = segment(0xE1, b"Exif\x00\x00" + BLOCK)
JPEG = saved("JPEG", exif=b"Exif\x00\x00" + BLOCK)
APP1 = JPEG.index(b"\xff\xe1")
SCAN = JPEG.index(b"\xff\xda")
AFTER_HEADER = SCAN + 2 + int.from_bytes(JPEG[SCAN + 2 : SCAN + 4], "big")


def re_encoded(content: bytes) -> bytes:
    """Store a file, and check that it was re-encoded without metadata."""
    with pytest.raises(ValueError) as error:
        strip_metadata(content)
    assert "\n" not in str(error.value)
    stored = stored_photo(content, None)
    assert stored.startswith(b"\xff\xd8\xff") and not leaks(stored)
    assert np.abs(decode_image(stored).astype(int) - decode_image(content)).mean() < 4
    return stored


@pytest.mark.parametrize(
    "content",
    [
        JPEG[:APP1] + b"\x00" + JPEG[APP1:],
        JPEG[:APP1] + SECRET + JPEG[APP1:],
        JPEG[:APP1] + b"\xff\x00" + JPEG[APP1:],
        JPEG[:APP1] + b"\xff\xed\x00\x05Photoshop 3.0\x00" + JPEG[APP1:],
        JPEG[:APP1] + b"\xff\xd0" + JPEG[APP1:],
        JPEG[:AFTER_HEADER] + EXIF + JPEG[AFTER_HEADER:-2] + EXIF[2:] + b"\xff\xd9",
        JPEG[:-2] + SECRET + b"\xff\xd9",
        JPEG[:-2],
    ],
)
def test_irregular_jpegs_are_re_encoded(content):
    if not content.endswith(b"\xff\xd9"):
        with pytest.raises(ValueError, match="without end"):
            strip_metadata(content)
        return
    stored = stored_photo(content, None)
    assert not leaks(stored)
    assert np.abs(decode_image(stored).astype(int) - decode_image(content)).mean() < 4


@pytest.mark.parametrize(
    "extra",
    [
        EXIF + EXIF,
        b"\xff\xff\xff",
        segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + SECRET),
        segment(0xEE, b"Adobe" + SECRET),
    ],
)
def test_regular_jpegs_are_stripped(extra):
    content = JPEG[:APP1] + extra + JPEG[APP1:] + JPEG
    stripped = strip_metadata(content)
    assert not leaks(stripped) and stored_photo(content, None) == stripped
    np.testing.assert_array_equal(decode_image(stripped), decode_image(content))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_colour_profile_with_metadata_inside(form):
    body = bytes(32) + b"acsp" + bytes(92) + PACKET
    profile = (4 + len(body)).to_bytes(4, "big") + body
    assert is_color_profile(profile)
    content = saved(form, icc_profile=profile)
    with pytest.raises(ValueError, match="XMP is left"):
        strip_metadata(content)
    stored = stored_photo(content, None)
    assert stored.startswith(b"\xff\xd8\xff") and not leaks(stored)
    assert "icc_profile" not in Image.open(io.BytesIO(stored)).info


def test_a_jpeg_whose_colours_depend_on_a_dropped_segment():
    content = saved("JPEG")
    end = 4 + int.from_bytes(content[4:6], "big")
    adobe = segment(0xEE, b"Adobe\x00\x64" + bytes(5) + SECRET)  # no colour transform: RGB
    content = content[:2] + adobe + content[end:]
    stripped = strip_metadata(content)
    assert np.abs(decode_image(stripped).astype(int) - decode_image(content)).mean() > 20
    re_encoded_colours = decode_image(stored_photo(content, None))
    assert np.abs(re_encoded_colours.astype(int) - decode_image(content)).mean() < 4
    assert SECRET not in stored_photo(content, None)


def test_metadata_between_scans_is_dropped():
    content = saved("JPEG", progressive=True)
    second = content.index(b"\xff\xda", content.index(b"\xff\xda") + 2)
    stripped = strip_metadata(content[:second] + EXIF + content[second:])
    assert stripped == strip_metadata(content)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    return PNG_SIGNATURE + b"".join(png_chunk(kind, body) for kind, body in chunks)


HEADER, *_ = PLAIN = list(png_chunks(saved("PNG")))
PIXEL_DATA = b"".join(body for kind, body in PLAIN if kind == b"IDAT")
END = (b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        PIXEL_DATA + SECRET,  # behind the zlib stream
        zlib.compress(zlib.decompress(PIXEL_DATA) + SECRET),  # behind the last row
        PIXEL_DATA + zlib.compress(SECRET),
    ],
)
def test_bytes_behind_the_pixels_of_a_png(data):
    content = png(HEADER, (b"IDAT", data), END)
    stored = re_encoded(content)
    assert SECRET not in stored and zlib.compress(SECRET) not in stored


def test_irregular_pngs():
    data = (b"IDAT", PIXEL_DATA)
    for chunks in (
        (HEADER, (b"sEcr", SECRET), data, END, data),
        (HEADER, (b"tRNS", SECRET), data, END),
    ):
        assert not leaks(stored_photo(png(*chunks), None))
    for chunks in (
        (HEADER, HEADER, data, END),
        (HEADER, (b"SECR", SECRET), data, END),
        (HEADER, (b"IDAT", PIXEL_DATA[:99]), (b"sRGB", b"\x00"), (b"IDAT", PIXEL_DATA[99:]), END),
        (HEADER, data, (b"IEND", SECRET)),
        (HEADER, END),
        (data, HEADER, END),
        (END,),
        (HEADER, data),
    ):
        with pytest.raises(ValueError):
            strip_metadata(png(*chunks))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pngs_of_every_kind_stay_lossless(mode):
    file = io.BytesIO()
    image = Image.fromarray(decode_image(saved("PNG"))).resize((37, 29))
    image.convert("L").convert(mode).save(file, "PNG") if mode == "I;16" else image.convert(
        mode
    ).save(file, "PNG")
    stored = stored_photo(file.getvalue(), None)
    assert stored.startswith(PNG_SIGNATURE)
    np.testing.assert_array_equal(decode_image(stored), decode_image(file.getvalue()))


def test_colours_that_no_pixel_can_name():
    file = io.BytesIO()
    Image.fromarray(decode_image(saved("PNG"))).quantize(16).save(file, "PNG")
    chunks = [
        (kind, body + SECRET * 3 if kind == b"PLTE" else body)
        for kind, body in png_chunks(file.getvalue())
    ]
    stored = stored_photo(png(*chunks), None)
    assert SECRET not in stored and stored.startswith(PNG_SIGNATURE)
    np.testing.assert_array_equal(decode_image(stored), decode_image(png(*chunks)))


def test_an_interlaced_png_stays_lossless():
    passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ]
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4) * 9
    body = b"".join(
        b"\x00" + row.tobytes()
        for left, top, across, down in passes
        for row in pixels[top::down, left::across]
        if row.size
    )
    header = (b"IHDR", (4).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 1]))
    content = png(header, (b"IDAT", zlib.compress(body)), END)
    np.testing.assert_array_equal(decode_image(content)[..., 0], pixels)
    assert stored_photo(content, None) == content


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_whose_picture_has_bytes_behind_it(lossless):
    content = saved("WEBP", lossless=lossless)
    size = int.from_bytes(content[16:20], "little")
    longer = (
        content[:16] + (size + len(SECRET)).to_bytes(4, "little") + content[20 : 20 + size] + SECRET
    )
    longer = longer[:4] + (len(longer) - 8).to_bytes(4, "little") + longer[8:]
    np.testing.assert_array_equal(decode_image(longer), decode_image(content))
    stored = stored_photo(longer, None)
    assert stored.startswith(b"\xff\xd8\xff") and SECRET not in stored


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_with_alpha_stays_lossless(lossless):
    pixels = np.dstack(
        [decode_image(saved("PNG")), np.arange(27 * 36, dtype=np.uint8).reshape(27, 36)]
    )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=lossless, exif=BLOCK)
    stored = stored_photo(file.getvalue(), None)
    assert stored.startswith(b"RIFF") and not leaks(stored)


@pytest.mark.parametrize(
    "mark",
    [
        b"Exif\x00\x00",
        PACKET,
        b"Photoshop 3.0\x00",
        b"Apple iOS\x00",
        b"\x00\x00\x00\x02eXIfxx0000",
        b"\xff\xd8\xff",
    ],
)
def test_marks_are_found_anywhere(mark):
    stripped = strip_metadata(JPEG)
    assert not find_metadata(stripped)
    assert find_metadata(stripped[:-2] + mark + stripped[-2:])
    assert find_metadata(stripped + mark)


def test_segmentation_maps_get_the_same_proof():
    classes = np.random.default_rng(0).integers(0, 150, (9, 12), np.uint8)
    file = io.BytesIO()
    Image.fromarray(classes).save(file, "PNG", exif=b"Exif\x00\x00" + BLOCK)
    content = file.getvalue()
    assert leaks(content)
    stored = stored_segmentation(content)
    assert not leaks(stored) and stored == strip_metadata(content)
    hidden = [
        (kind, body + SECRET if kind == b"IDAT" else body) for kind, body in png_chunks(content)
    ]
    stored = stored_segmentation(png(*hidden))
    assert SECRET not in stored
    np.testing.assert_array_equal(decode_class_map(stored), classes)
