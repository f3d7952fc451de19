import json

import pytest

from geosurge_jax.importing.row_values import RejectedRow
from geosurge_jax.importing.sidecar_positions import sidecar_latlng, sidecars

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48,51.6N"
 exif:GPSLongitude="2,21.0E"/></rdf:RDF></x:xmpmeta>"""


def takeout(latitude, longitude, key="geoData"):
    return json.dumps({"title": "x", key: {"latitude": latitude, "longitude": longitude}})


LONG = "a" * 44 + ".jpg"


@pytest.mark.parametrize(
    ("image", "sidecar"),
    [
        ("IMG_1.jpg", "IMG_1.jpg.json"),
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
        ("IMG_1.jpg", "IMG_1.json"),
        ("IMG_1(2).jpg", "IMG_1.jpg(2).json"),
        ("IMG_1(2).jpg", "IMG_1.jpg.supplemental-metadata(2).json"),
        # Takeout cuts names to 46 characters before the suffix.
        ("PXL_20230101_123456789.jpg", "PXL_20230101_123456789.jpg.supplemental-metada.json"),
        (LONG, LONG[:46] + ".json"),
    ],
)
def test_names_of_takeout(tmp_path, image, sidecar):
    (tmp_path / sidecar).write_text(takeout(48.85, 2.35))
    assert sidecar_latlng(tmp_path / image) == ((48.85, 2.35), tmp_path / sidecar)
    assert sidecar_latlng(tmp_path / "other.jpg") is None


@pytest.mark.parametrize("sidecar", ["a.jpg.xmp", "a.xmp", "a.jpg.XMP"])
def test_xmp_goes_before_takeout(tmp_path, sidecar):
    (tmp_path / sidecar).write_text(XMP)
    (tmp_path / "a.jpg.json").write_text(takeout(1.0, 1.0))
    latlng, path = sidecar_latlng(tmp_path / "a.jpg")
    assert latlng == pytest.approx((48.86, 2.35)) and path.name == sidecar
    assert [one.name for one in sidecars(tmp_path / "a.jpg")] == [sidecar, "a.jpg.json"]


@pytest.mark.parametrize(
    "content",
    [
        takeout(0.0, 0.0),
        "[" * 100_000,
        "{",
        "[]",
        "null",
        '{"geoData": 5}',
        '{"geoData": {"latitude": [1], "longitude": 2}}',
    ],
)
def test_a_sidecar_without_position(tmp_path, content):
    (tmp_path / "a.jpg.json").write_text(content)
    assert sidecar_latlng(tmp_path / "a.jpg") is None


def test_the_position_of_the_camera_counts_where_no_other_is_known(tmp_path):
    both = json.loads(takeout(0, 0)) | json.loads(takeout(5.5, 6.5, "geoDataExif"))
    (tmp_path / "a.jpg.json").write_text(json.dumps(both))
    assert sidecar_latlng(tmp_path / "a.jpg")[0] == (5.5, 6.5)


def test_an_impossible_position_is_a_rejection(tmp_path):
    (tmp_path / "a.jpg.json").write_text(takeout(95.0, 200.0))
    with pytest.raises(RejectedRow, match="out of range"):
        sidecar_latlng(tmp_path / "a.jpg")
