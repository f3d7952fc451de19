import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from geosurge_jax.importing.exif import gps_latlng
from tests.importing.gps_files import PIXELS, gps_block, saved, with_block, xmp

PLAIN = [(48, 1), (51, 1), (24, 1)]
EAST = [(2, 1), (21, 1), (8, 1)]
EXPECTED = (48 + 51 / 60 + 24 / 3600, 2 + 21 / 60 + 8 / 3600)


def secret_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "a photo"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 24.0), 3: "E", 4: (2.0, 21.0, 8.0)})
    return exif


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_each_format(form):
    content = saved(form, exif=secret_exif().tobytes())
    np.testing.assert_allclose(gps_latlng(content), EXPECTED, atol=1e-9)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_all_hemispheres(order):
    for letters, signs in ((b"NE", (1, 1)), (b"SW", (-1, -1)), (b"NW", (1, -1)), (b"se", (-1, 1))):
        block = gps_block(PLAIN, EAST, (letters[:1], letters[1:]), order)
        np.testing.assert_allclose(
            gps_latlng(with_block(block)), np.multiply(EXPECTED, signs), atol=1e-12
        )


@pytest.mark.parametrize("keyword", ["Raw profile type exif", "Raw profile type APP1"])
def test_a_text_of_imagemagick(keyword):
    block = b"Exif\x00\x00" + gps_block(PLAIN, EAST)
    notes = PngImagePlugin.PngInfo()
    notes.add_text(keyword, f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    np.testing.assert_allclose(gps_latlng(saved("PNG", pnginfo=notes)), EXPECTED, atol=1e-9)


@pytest.mark.parametrize(
    ("latitude", "expected"),
    [
        ([(48, 1), (5332358, 100000), (0, 0)], 48 + 53.32358 / 60),  # undefined seconds
        ([(48, 1), (5332358, 100000), (0, 1)], 48 + 53.32358 / 60),
        ([(48, 1), (5332358, 100000)], 48 + 53.32358 / 60),
        ([(488566, 10000), (0, 1), (0, 1)], 48.8566),
        ([(488566, 10000), (0, 0), (0, 0)], 48.8566),
        ([(488566, 10000)], 48.8566),
        ([(48, 1), (51, 1), (23999999, 1000000)], 48 + 51 / 60 + 23.999999 / 3600),
        ([(48, 1), (51, 1), (1, 4_000_000_000)], 48.85),
        ([(48, 1), (0, 1), (30, 1)], 48 + 30 / 3600),
        ([(96, 2), (51, 1), (59999, 1000)], 48 + 51 / 60 + 59.999 / 3600),
    ],
)
def test_forms_of_a_position(latitude, expected):
    found = gps_latlng(with_block(gps_block(latitude, EAST)))
    np.testing.assert_allclose(found, (expected, EXPECTED[1]), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("latitude", "longitude", "letters", "reason"),
    [
        (PLAIN, [(2, 1), (60, 1), (0, 1)], b"NE", "minutes below 60"),
        ([(48, 1), (51, 1), (2442, 1)], EAST, b"NE", "seconds below 60"),
        ([(48, 1), (51, 1), (60, 1)], EAST, b"NE", "seconds below 60"),
        ([(488566, 10000), (51, 1), (24, 1)], EAST, b"NE", "fraction in the last part"),
        ([(48, 1), (514, 10), (24, 1)], EAST, b"NE", "fraction in the last part"),
        (PLAIN, [(-74, 1), (0, 1), (21, 1)], b"NW", "no sign"),
        (PLAIN, [(-74, 1), (0, 1), (21, 1)], b"NE", "no sign"),
        ([(0, 0), (0, 0), (0, 0)], EAST, b"NE", "expected rationals"),
        ([(0, 0), (51, 1), (24, 1)], EAST, b"NE", "expected rationals"),
        ([(48, 1), (0, 0), (24, 1)], EAST, b"NE", "expected rationals"),
        ([(48, 1), (51, 1), (0, 0)], EAST, b"NE", "expected rationals"),
        ([(48, 1), (51, 1), (7, 0)], EAST, b"NE", "expected rationals"),
        ([(0, 1)] * 3, [(0, 1)] * 3, b"NE", "placeholder"),
        ([(0, 1)] * 3, [(0, 1)] * 3, b"SW", "placeholder"),
        (PLAIN, EAST, b"XE", "reference 'X'.*N or S"),
        (PLAIN, EAST, b"NN", "reference 'N'.*E or W"),
    ],
)
def test_implausible_positions_are_rejected(latitude, longitude, letters, reason):
    block = gps_block(latitude, longitude, (letters[:1], letters[1:]))
    with pytest.raises(ValueError, match=reason) as error:
        gps_latlng(with_block(block))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("gps", "message"),
    [
        ({}, "no GPS position"),
        ({5: b"\x00", 6: 100.0}, "no GPS position"),  # an altitude alone
        ({2: (1.0, 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)}, "reference ''.*expected N or S"),
        ({1: "N", 3: "E", 4: (1.0, 0.0, 0.0)}, "position None"),
    ],
)
def test_positions_that_are_none(gps, message):
    exif = Image.Exif()
    exif[0x010E] = "a photo"
    if gps:
        exif.get_ifd(0x8825).update(gps)
    with pytest.raises(ValueError, match=message):
        gps_latlng(saved("JPEG", exif=exif))


def test_exif_counts_before_xmp_and_xmp_where_exif_has_no_position():
    packet = xmp('exif:GPSLatitude="10,30N" exif:GPSLongitude="20,15W"')
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", exif=secret_exif(), xmp=packet)
    np.testing.assert_allclose(gps_latlng(file.getvalue()), EXPECTED, atol=1e-9)
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({6: 100.0})
    assert gps_latlng(saved("JPEG", exif=exif, xmp=packet)) == (10.5, -20.25)


def test_the_second_exif_segment_counts_where_the_first_has_no_position():
    block = b"Exif\x00\x00" + gps_block(PLAIN, EAST)
    segment = b"\xff\xe1" + (2 + len(block)).to_bytes(2, "big") + block
    exif = Image.Exif()
    exif[0x010E] = "a photo"
    content = saved("JPEG", exif=exif)
    at = content.index(b"\xff\xdb")
    np.testing.assert_allclose(
        gps_latlng(content[:at] + b"\x00stray" + segment + content[at:]), EXPECTED
    )
