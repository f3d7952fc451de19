import io
import random

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from geosurge_jax.importing.exif import gps_latlng
from geosurge_jax.importing.folder_photos import stored_photo
from geosurge_jax.importing.strip import strip_metadata
from geosurge_jax.input.images import decode_image

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8).repeat(3, 0).repeat(3, 1)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SECRET = b"SECRET 48.77 N 9.16 E"


def saved(form: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, form, **options)
    return file.getvalue()


def secret_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 46.0, 12.0), 3: "E", 4: (9.0, 9.0, 36.0)})
    return exif


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_jpeg(options):
    plain = saved("JPEG", exif=secret_exif(), comment=SECRET, icc_profile=PROFILE, **options)
    extra = (
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + SECRET)
        + segment(0xED, b"Photoshop 3.0\x00" + SECRET)
        + segment(0xE2, b"MPF\x00" + SECRET)
        + segment(0xE0, b"JFXX\x00" + SECRET)
        + segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x02\x02" + SECRET)
        + segment(0xFE, SECRET)
    )
    content = plain[:2] + extra + plain[2:] + b"trailer" + plain + SECRET
    stripped = strip_metadata(content)
    assert content.count(SECRET) >= 9 and SECRET not in stripped
    assert stripped.endswith(b"\xff\xd9") and stripped.count(b"\xff\xd8\xff") == 1
    image = Image.open(io.BytesIO(stripped))
    assert image.info["icc_profile"] == PROFILE and "exif" not in image.info
    np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(plain))))
    np.testing.assert_array_equal(decode_image(stripped), decode_image(content))


def test_cmyk_jpeg_keeps_what_its_decoder_needs():
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert("CMYK").save(file, "JPEG", exif=secret_exif())
    stripped = strip_metadata(file.getvalue())
    assert SECRET not in stripped
    np.testing.assert_array_equal(decode_image(stripped), decode_image(file.getvalue()))


def test_png():
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", SECRET.decode())
    notes.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    content = saved("PNG", exif=secret_exif(), pnginfo=notes, icc_profile=PROFILE) + SECRET
    stripped = strip_metadata(content)
    assert content.count(SECRET) >= 4 and SECRET not in stripped
    assert Image.open(io.BytesIO(stripped)).info == {"icc_profile": PROFILE}
    np.testing.assert_array_equal(decode_image(stripped), PIXELS)


@pytest.mark.parametrize("lossless", [True, False])
def test_webp(lossless):
    content = saved("WEBP", lossless=lossless, exif=secret_exif(), xmp=SECRET, icc_profile=PROFILE)
    stripped = strip_metadata(content)
    assert SECRET in content and SECRET not in stripped
    image = Image.open(io.BytesIO(stripped))
    assert image.info["icc_profile"] == PROFILE
    assert "exif" not in image.info and "xmp" not in image.info
    assert content[12:16] == b"VP8X" and content[20] & 0b1100 == 0b1100
    assert stripped[20] == content[20] & ~0b1100  # the header does not promise EXIF and XMP either
    np.testing.assert_array_equal(decode_image(stripped), decode_image(content))


def test_other_files_are_not_stripped():
    with pytest.raises(ValueError, match="starts with b'GIF8'"):
        strip_metadata(saved("GIF"))


def test_animations_become_their_first_picture():
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    stored = stored_photo(file.getvalue(), None)
    assert stored.startswith(b"\xff\xd8\xff")
    assert np.abs(decode_image(stored).astype(int) - PIXELS).mean() < 4


def test_damaged_files_raise_nothing_but_value_errors():
    chance = random.Random(0)
    originals = [saved(form, exif=secret_exif()) for form in ("JPEG", "PNG", "WEBP")]
    for _ in range(300):
        content = bytearray(chance.choice(originals))
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(4, len(content))] = chance.randrange(256)
        damaged = bytes(content[: chance.randrange(len(content))])
        for read in (gps_latlng, decode_image, strip_metadata):
            try:
                read(damaged)
            except ValueError as error:
                assert "\n" not in str(error)
