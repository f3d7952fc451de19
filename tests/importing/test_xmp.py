import numpy as np
import pytest
from PIL import PngImagePlugin, TiffImagePlugin

from geosurge_jax.importing.exif import gps_latlng
from geosurge_jax.importing.xmp import xmp_latlng
from tests.importing.gps_files import saved, xmp

POSITION = 'exif:GPSLatitude="48,51.4N" exif:GPSLongitude="2,21,8W"'
EXPECTED = (48 + 51.4 / 60, -(2 + 21 / 60 + 8 / 3600))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("padding", [0, 30_000])
def test_each_format(form, padding):
    packet = xmp(POSITION) + b" " * padding
    if form == "PNG":
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt("XML:com.adobe.xmp", packet.decode(), zip=padding > 0)
        content = saved("PNG", pnginfo=notes)
    elif form == "TIFF":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[700] = packet
        tags.tagtype[700] = 1
        content = saved("TIFF", tiffinfo=tags)
    else:
        content = saved(form, xmp=packet)
    np.testing.assert_allclose(gps_latlng(content), EXPECTED, atol=1e-12)


def test_elements_utf_16_and_other_prefixes():
    inner = "<exif:GPSLatitude>48,51.4N</exif:GPSLatitude><exif:GPSLongitude>2,21,8W</exif:GPSLongitude>"
    for packet in (
        xmp("", inner),
        xmp(POSITION).decode().encode("utf-16"),
        xmp(POSITION).replace(b"exif:", b"e:").replace(b":exif=", b":e="),
        xmp(POSITION) + b"\x00\x00",
    ):
        assert xmp_latlng(packet) == pytest.approx(EXPECTED)


def test_a_place_that_a_photo_shows_is_not_where_it_was_taken():
    shown = f"<exif:Shown><rdf:Description {POSITION}/></exif:Shown>"
    assert xmp_latlng(xmp("", shown)) is None
    shown = "<exif:Shown><exif:GPSLatitude>1,2N</exif:GPSLatitude></exif:Shown>"
    assert xmp_latlng(xmp("", shown)) is None


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ('exif:GPSLatitude="48,51.4N"', "GPS position ''.*48,51.4E"),
        ('exif:GPSLatitude="48.85" exif:GPSLongitude="2,1E"', "'48.85'.*expected the form"),
        ('exif:GPSLatitude="48,61N" exif:GPSLongitude="2,1E"', "minutes below 60"),
        ('exif:GPSLatitude="48,51,2442N" exif:GPSLongitude="2,1E"', "seconds below 60"),
        ('exif:GPSLatitude="48,51.5,30N" exif:GPSLongitude="2,1E"', "fraction in the last part"),
        ('exif:GPSLatitude="48,51E" exif:GPSLongitude="2,1E"', "reference 'E'"),
        ('exif:GPSLatitude="-48,51S" exif:GPSLongitude="2,1E"', "expected the form"),
        ('exif:GPSLatitude="0,0N" exif:GPSLongitude="0,0E"', "placeholder"),
    ],
)
def test_implausible_positions_are_rejected(properties, reason):
    with pytest.raises(ValueError, match=reason) as error:
        xmp_latlng(xmp(properties))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"no XML",
        xmp(POSITION)[:-40],
        xmp(POSITION) + b"<more/>",
        b'<?xml version="1.0" encoding="no-such-encoding"?>' + xmp(POSITION),
        xmp(""),
        xmp(POSITION).replace(b"ns.adobe.com/exif", b"example.org"),
        b'<!DOCTYPE x [<!ENTITY a "48,51.4N">]>' + xmp(POSITION.replace("48,51.4N", "&a;")),
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + xmp(POSITION),
        xmp(POSITION) + b" " * (1 << 24),
    ],
)
def test_other_packets_state_no_position(packet):
    assert xmp_latlng(packet) is None


def test_entities_are_not_expanded():
    entities = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(20))
    packet = f'<!DOCTYPE x [<!ENTITY a0 "x">{entities}]><x>&a20;</x>'.encode()
    assert xmp_latlng(packet) is None
