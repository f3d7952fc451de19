import io
import re

import numpy as np
import pytest
from PIL import Image

from configs import geosurge
from geosurge_jax.experiment import inspect
from geosurge_jax.importing.importer import Import, import_archive
from geosurge_jax.importing.runners import on_this_machine
from tests.importing.photos import Listed, jpeg


def grey_jpeg():
    file = io.BytesIO()
    Image.fromarray(np.full((40, 80), 90, np.uint8)).save(file, format="JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """40 photos in two places, 10 of them grey, and 2 that were rejected."""
    values = {
        f"{n}.jpg": {"lat": "47.5", "lon": str(8 + n % 2), "s3_label": str(n % 2)}
        for n in range(42)
    }
    photos = [(f"{n}.jpg", grey_jpeg() if n % 4 == 0 and n < 36 else jpeg(n)) for n in range(40)]
    archive = Listed([*photos, ("40.jpg", b"<html>"), ("41.jpg", b"<html> gone")], 50, values)
    directory = tmp_path_factory.mktemp("inspect")
    job = Import("some", "2.0.0", archive, None, {"train": 1.0}, 0, None, 90, "Some.", "CC0")
    dataset = import_archive(directory, job, on_this_machine(1))
    config = geosurge.get_config("folder")
    config.data.update(dataset="prepared", source=str(dataset))
    inspect.run(config.to_dict(), directory / "workdir")
    few = geosurge.get_config()
    few.data.source = str(dataset)
    inspect.run(few.to_dict(), directory / "few")
    return directory / "workdir" / "inspect"


def test_too_few_places_for_geocells_are_said(page):
    markdown = (page.parents[1] / "few" / "inspect" / "report.md").read_text()
    assert (
        "No geocells of the config: no cell of 40 photos holds at least min_images=50" in markdown
    )


def row(page, begin):
    (line,) = re.findall(rf"^\| {begin} \|(.*)\|$", (page / "report.md").read_text(), re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


def test_counts_are_those_of_the_dataset(page):
    markdown = (page / "report.md").read_text()
    assert "Some. Licence: CC0" in markdown
    counts, looks = re.findall(r"^\| train \|(.*)\|$", markdown, re.MULTILINE)
    assert [cell.strip() for cell in counts.split("|")][:3] == ["40", "2", "1"]
    found = [cell.strip() for cell in looks.split("|")]
    assert found[:2] == ["40", "0"] and found[2] == "40 / 48 / 48"
    assert found[3:] == ["22.5", "0.0", "50 / 50 / 0", "0"]


def test_rejections_are_shown_by_kind(page):
    assert row(page, "unreadable image")[-1] == "2"


def test_pictures_are_there(page):
    for name, narrowest in (("map-train.png", 1000), ("photos.png", 1000)):
        with Image.open(page / name) as picture:
            assert picture.width > narrowest
    assert (page / "report.html").read_text().count("data:image/png;base64,") == 2
