import xml.etree.ElementTree as ElementTree

import pytest

from geosurge_jax import __version__
from geosurge_jax.serving.sidecar import (
    SidecarError,
    gps_coordinate,
    sidecar_path,
    sidecar_text,
    write_sidecar,
)
from tests.serving.made_up import prediction

XMP = "{http://ns.adobe.com/xap/1.0/}"
EXIF = "{http://ns.adobe.com/exif/1.0/}"
DWC = "{http://rs.tdwg.org/dwc/terms/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


def properties(text):
    (description,) = ElementTree.fromstring(text).iter(f"{RDF}Description")
    return description.attrib


def degrees(text, negative):
    whole, minutes = text[:-1].split(",")
    return (int(whole) + float(minutes) / 60) * (-1 if text[-1] == negative else 1)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "IMG.jpg"
    path.write_bytes(b"pixels")
    return path


def test_a_sidecar_holds_the_prediction_and_how_it_was_made(image):
    one = prediction(
        "IMG.jpg", latlng=(-33.856784, 151.215297), decision="distance", warnings=("toys",)
    )
    path = write_sidecar(image, one, radius_m=1234.4)
    assert path.name == "IMG.jpg.xmp" and image.read_bytes() == b"pixels"
    found = properties(path.read_bytes())
    assert degrees(found[f"{EXIF}GPSLatitude"], "S") == pytest.approx(-33.856784, abs=1e-7)
    assert degrees(found[f"{EXIF}GPSLongitude"], "W") == pytest.approx(151.215297, abs=1e-7)
    assert "test model" in found[f"{EXIF}GPSProcessingMethod"]
    assert found[f"{EXIF}GPSHPositioningError"] == "1234/1"
    assert found[f"{DWC}coordinateUncertaintyInMeters"] == "1234"
    assert float(found[f"{DWC}decimalLatitude"]) == -33.856784
    assert float(found[f"{DWC}decimalLongitude"]) == 151.215297
    for part in ("test model", "decision rule distance", f"geosurge_jax {__version__}"):
        assert part in found[f"{DWC}georeferenceProtocol"]
    assert found[f"{DWC}georeferenceRemarks"] == "toys"
    assert found[f"{XMP}CreatorTool"] == f"geosurge_jax {__version__}"


def test_without_a_radius_no_uncertainty_is_stated():
    found = properties(sidecar_text(prediction()))
    assert f"{DWC}georeferenceRemarks" not in found
    assert not [name for name in found if "Uncertainty" in name or "Error" in name]


@pytest.mark.parametrize(
    ("value", "directions", "expected"),
    [
        (48.5, "NS", "48,30.000000N"),
        (-0.0001, "EW", "0,00.006000W"),
        (12.9999999999, "NS", "13,00.000000N"),
        (-180.0, "EW", "180,00.000000W"),
        (7.1, "EW", "7,06.000000E"),
    ],
)
def test_coordinates_are_written_as_xmp_wants_them(value, directions, expected):
    assert gps_coordinate(value, directions) == expected


def test_our_own_sidecar_is_replaced(image):
    write_sidecar(image, prediction())
    path = write_sidecar(image, prediction(latlng=(1.0, 2.0)))
    assert properties(path.read_bytes())[f"{EXIF}GPSLatitude"] == "1,00.000000N"


@pytest.mark.parametrize("change", [b"<x/>", None])
def test_a_sidecar_that_another_program_wrote_or_changed_is_kept(image, change):
    path = sidecar_path(image)
    if change is None:
        write_sidecar(image, prediction())
        change = path.read_bytes().replace(b"</rdf:RDF>", b"<edit/></rdf:RDF>")
    path.write_bytes(change)
    with pytest.raises(SidecarError, match=r"IMG\.jpg\.xmp: was written by another program"):
        write_sidecar(image, prediction())
    assert path.read_bytes() == change
