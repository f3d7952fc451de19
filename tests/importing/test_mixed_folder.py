"""The same folder of mixed files through data.folder, data.prepare and predict."""

import csv
import json
from collections import Counter

import pytest

from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.importing import folder, prepare
from geosurge_jax.input.images import decode_image
from geosurge_jax.serving.commands.image_names import image_names
from geosurge_jax.serving.images import ImageError, decode
from tests.importing.mixed_folder import Mixed, mixed_folder, picture


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Mixed:
    return mixed_folder(tmp_path_factory.mktemp("mixed") / "photos")


def stored(directory):
    dataset = open_dataset(directory, verify=True)
    splits = [dataset.split(name) for name in dataset.manifest.splits]
    return {record["id"]: record for split in splits for record in split.records}


def check_record(record, place):
    assert tuple(record["latlng"]) == pytest.approx(place, abs=1e-9)
    assert b"SECRET" not in record["image"] and b"Exif" not in record["image"]
    assert decode_image(record["image"]).ndim == 3


def test_a_folder_of_mixed_files_is_imported(mixed, tmp_path, caplog):
    caplog.set_level("INFO", "geosurge_jax")
    directory = folder.prepare(tmp_path, mixed.folder)
    found = stored(directory)
    assert set(found) == set(mixed.places)
    for name, place in mixed.places.items():
        check_record(found[name], place)
    assert decode_image(found["phone/s20.jpg"]["image"]).shape == (4500, 6000, 3)
    with (directory / "rejected.csv").open(newline="") as file:
        rows = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    kinds = {name.replace("\udcdf", r"\xdf"): kind for name, kind in mixed.rejected.items()}
    assert {name: reason.partition(":")[0] for name, reason in rows.items()} == kinds
    line = caplog.messages[-1]
    assert line.startswith(
        f"{mixed.files} files seen: {len(mixed.places)} stored, {len(kinds)} rejected"
    )
    for reason in ("1 hidden", "1 system file", "1 .txt", "3 read as sidecars"):
        assert reason in line


def test_a_folder_of_mixed_files_is_prepared(mixed, tmp_path, caplog):
    caplog.set_level("INFO", "geosurge_jax")
    table = tmp_path / "table.jsonl"
    named = {name for name in (*mixed.places, *mixed.rejected) if name.isascii()}
    with table.open("w") as file:
        for name in sorted(named):
            latitude, longitude = mixed.places.get(name, (1.0, 1.0))
            row = {"file": name, "latitude": latitude, "longitude": longitude}
            file.write(json.dumps(row) + "\n")
    flags = ["--source", str(mixed.folder), "--table", str(table), "--short-side", "0"]
    prepare.main(["mp16", *flags, "--out", str(tmp_path), "--workers", "1"])
    found = stored(tmp_path / "mp16" / "2.0.0")
    ids = {name.replace("/", "_").rpartition(".")[0]: name for name in mixed.places}
    assert set(found) == set(ids)
    for identity, name in ids.items():
        check_record(found[identity], mixed.places[name])
    start = f"{mixed.files} files seen: {len(mixed.places)} stored, {len(mixed.rejected)} rejected"
    assert caplog.messages[-1].startswith(start)


def test_a_folder_of_mixed_files_is_decoded_for_predictions(mixed):
    named = image_names([str(mixed.folder)], None)
    assert named.skipped == Counter(mixed.skipped)
    prefix = f"{mixed.folder}/"
    found = {name.removeprefix(prefix): name for name in named.names}
    assert set(found) == {*mixed.places, *mixed.rejected}
    for name in mixed.places:
        height, width, _ = decode(found[name], name).shape
        assert abs(width / height - 4 / 3) < 0.01
    # A name that is not UTF-8 is no id, but its image can be answered.
    readable = {name for name, kind in mixed.rejected.items() if kind == "unsafe name"}
    for name in mixed.rejected:
        if name in readable:
            assert decode(found[name], name).shape == (72, 96, 3)
        else:
            with pytest.raises(ImageError, match=name):
                decode(found[name], name)


def test_the_pictures_are_those_that_were_encoded(mixed):
    """The first image of an MPO and of an animation counts."""
    for name, number in (("stereo.mpo", 4), ("animated.webp", 5)):
        pixels = decode(mixed.folder / name, name).astype(int)
        assert abs(pixels - picture(number)).mean() < 6
