import os

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.input.image_files import (
    account,
    file_skip_reason,
    list_images,
    skip_reason,
)
from geosurge_jax.input.image_formats import without_suffix


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_images_of_every_suffix_are_listed_and_all_else_is_named(tmp_path):
    images = ("a.JPG", "b.jfif", "c.heic", "d/e.avif", "d/f.tif", "d/g.mpo", "d/sub/h.jp2")
    skipped = {
        "notes.txt": ".txt",
        "noend": "other files",
        "d/movie.MP4": ".mp4",
        "._a.JPG": "hidden",
        ".thumbs": "hidden",
        "__MACOSX": "system file",
        "d/@eaDir": "system file",
        "Thumbs.db": "system file",
        "run": "run directory",
        "d/set": "dataset directory",
    }
    for name in (*images, "notes.txt", "noend", "d/movie.MP4", "._a.JPG", "Thumbs.db"):
        touch(tmp_path / name)
    for name in (".thumbs/1.jpg", "__MACOSX/a.JPG", "d/@eaDir/a.JPG/SYNOPHOTO_THUMB_M.jpg"):
        touch(tmp_path / name)
    for name in ("run/run.json", "run/report.png", "d/set/manifest.json", "d/set/x.jpg"):
        touch(tmp_path / name)
    (tmp_path / "album").symlink_to(tmp_path / "d")
    (tmp_path / "circle").symlink_to("circle")
    listing = list_images(tmp_path)
    assert listing.images == images
    expected = skipped | {"album": "link to a folder", "circle": "other files"}
    assert dict(listing.skipped) == expected
    assert listing.reasons["hidden"] == 2


def test_segmentation_maps_beside_images_are_no_images(tmp_path):
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (40, 40)).astype(np.uint8)
    classes = rng.choice([0, 3, 149, 255], (40, 40)).astype(np.uint8)
    (tmp_path / "maps").mkdir()
    for name, pixels in {
        "a.jpg": gray,
        "a.png": classes,  # beside its image
        "b.jpg": gray,
        "maps/b.png": classes,  # in a folder of their own
        "c.png": classes,  # of nobody
        "d.jpg": gray,
        "d.png": gray,  # a copy of the photo
    }.items():
        Image.fromarray(pixels).save(tmp_path / name)
    listing = list_images(tmp_path)
    assert listing.images == ("a.jpg", "b.jpg", "c.png", "d.jpg", "d.png")
    assert dict(listing.skipped) == {
        "a.png": "segmentation map",
        "maps/b.png": "segmentation map",
    }
    left_out = list_images(tmp_path, leave_out=tmp_path / "maps")
    assert left_out.skipped["maps"] == "folder of segmentation maps"


def test_names_that_are_not_utf8_are_kept(tmp_path):
    with open(os.fsencode(tmp_path) + b"/Stra\xdfe.jpg", "wb") as file:
        file.write(b"x")
    assert list_images(tmp_path).images == ("Stra\udcdfe.jpg",)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path / "open" / "a.jpg")
    touch(tmp_path / "shut" / "a.jpg")
    scandir = os.scandir

    def refusing(path):
        if os.path.basename(path) == "shut":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    listing = list_images(tmp_path)
    assert listing.images == ("open/a.jpg",)
    assert dict(listing.skipped) == {"shut": "unreadable folder (Permission denied)"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/b.jpg", ""),
        ("a\\b.HEIC", ""),
        ("./a.png", ""),
        ("a/.b/c.jpg", "hidden"),
        ("a/@eaDir/c.jpg", "system file"),
        ("a/c.json", ".json"),
        ("a/c.averyveryverylongsuffix", "other files"),
        ("a/c.\x1b[31m", "other files"),
    ],
)
def test_reasons_by_name(name, reason):
    assert file_skip_reason(name) == reason
    assert skip_reason("a/b.jpg") == ""


def test_the_closing_line_adds_up():
    line = account("stored", 1980, {"unreadable image": 2, "no position": 1}, {".txt": 20})
    assert line == (
        "2,003 files seen: 1,980 stored, 3 rejected (2 unreadable image, 1 no position), "
        "20 skipped (20 .txt)"
    )
    assert account("placed", 1, {}, {}) == "1 files seen: 1 placed, 0 rejected, 0 skipped"


def test_suffixes_of_images_alone_are_taken_off():
    assert without_suffix("a.b.JPEG") == "a.b"
    assert without_suffix("a.b") == "a.b"
    assert without_suffix(".jpg") == ".jpg"
