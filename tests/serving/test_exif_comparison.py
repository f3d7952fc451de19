import io

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from geosurge_jax.serving.exif_comparison import exif_error_km, exif_latlng
from tests.serving.made_up import prediction


def jpeg(latitude=None, reference="S"):
    exif = Image.Exif()
    if latitude is not None:
        exif[0x8825] = {
            1: reference,
            2: tuple(IFDRational(x) for x in latitude),
            3: "E",
            4: tuple(IFDRational(x) for x in (151, 12, 0)),
        }
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_the_error_is_the_distance_to_the_position_in_exif(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg((33, 54, 0)))
    assert exif_latlng(path) == pytest.approx((-33.9, 151.2))
    # One degree along a meridian of a sphere of 6371 km.
    found = exif_error_km(path, prediction(latlng=(-32.9, 151.2)))
    assert found == pytest.approx(np.pi / 180 * 6371.0, rel=1e-6)


@pytest.mark.parametrize("content", [jpeg(), jpeg((133, 0, 0)), b"not an image"])
def test_without_a_position_there_is_no_error(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert exif_error_km(path, prediction()) is None
