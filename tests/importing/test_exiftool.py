"""Our reader of positions beside ExifTool, on generated files."""

import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from geosurge_jax.importing.exif import gps_latlng
from tests.importing.gps_files import PIXELS, gps_block, xmp

FORMATS = (
    "JPEG",
    "TIFF",
    "PNG",
    "WEBP",
    "text.PNG",
    "XMP.JPEG",
    "XMP.PNG",
    "XMP.WEBP",
    "stray.JPEG",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed"),
]


def rationals(degrees: float, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Degrees in one of the forms that cameras write and ExifTool reads (not seconds of 0/0)."""
    form = rng.integers(4)
    if form == 0:
        return [(round(degrees * 10**7), 10**7)]
    whole, minutes = int(degrees), (degrees % 1) * 60
    if form == 1:
        return [(whole, 1), (int(minutes * 10**6), 10**6), (0, 1)]
    divisor = 10 ** int(rng.integers(0, 7))
    return [(whole, 1), (int(minutes), 1), (int((minutes % 1) * 60 * divisor), divisor)]


def generated(form: str, rng: np.random.Generator) -> bytes:
    """An image with a position at random."""
    letters = (b"NS"[rng.integers(2) :][:1], b"EW"[rng.integers(2) :][:1])
    latitude, longitude = rng.uniform(0, 90), rng.uniform(0, 180)
    order = "<>"[rng.integers(2)]
    block = gps_block(rationals(latitude, rng), rationals(longitude, rng), letters, order)
    exif = b"Exif\x00\x00" + block
    north, east = (letter.decode() for letter in letters)
    packet = xmp(
        f'exif:GPSLatitude="{int(latitude)},{latitude % 1 * 59:.6f}{north}" '
        f'exif:GPSLongitude="{int(longitude)},{int(longitude % 1 * 60)},{rng.integers(60)}{east}"'
    )
    file, image, notes = io.BytesIO(), Image.fromarray(PIXELS), PngImagePlugin.PngInfo()
    if form.startswith("XMP."):
        notes.add_itxt("XML:com.adobe.xmp", packet.decode())
        options = {"pnginfo": notes} if form == "XMP.PNG" else {"xmp": packet}
    elif form == "text.PNG":
        notes.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=True)
        options = {"pnginfo": notes}
    else:
        options = {"exif": exif}
    image.save(file, form.rpartition(".")[2], **options)
    content = file.getvalue()
    if form == "stray.JPEG":
        at = content.index(b"\xff\xe1")
        content = content[:at] + bytes(int(rng.integers(1, 9))) + content[at:]
    return content


def test_positions_are_those_of_exiftool(tmp_path):
    rng = np.random.default_rng(0)
    ours = {}
    for n in range(20):
        for form in FORMATS:
            path = tmp_path / f"{n:02}.{form.lower()}"
            path.write_bytes(generated(form, rng))
            ours[str(path)] = gps_latlng(path.read_bytes())
    command = ["exiftool", "-json", "-n", "-GPSLatitude", "-GPSLongitude", tmp_path]
    listed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert len(listed) == len(ours)
    for row in listed:
        theirs = (row.get("GPSLatitude"), row.get("GPSLongitude"))
        assert None not in theirs, row
        np.testing.assert_allclose(
            ours[row["SourceFile"]], theirs, rtol=0, atol=1e-8, err_msg=str(row)
        )
