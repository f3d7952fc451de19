import csv
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.dataset.manifest import FeatureColumns
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.importing.audit import looks_of, main
from geosurge_jax.importing.importer import Import, import_archive
from geosurge_jax.importing.runners import on_this_machine
from tests.importing.photos import Listed, jpeg


def dataset(directory, name, split, photos):
    """Photos by id: content, place, author."""
    values = {
        f"{key}.jpg": {"lat": str(lat), "lon": str(lon), "author": by}
        for key, (_, (lat, lon), by) in photos.items()
    }
    archive = Listed(
        [(f"{key}.jpg", content) for key, (content, _, _) in photos.items()], 99, values
    )
    job = Import(name, "2.0.0", archive, None, {split: 1.0}, 0, None, 90, f"{name}.", "none")
    return import_archive(directory, job, on_this_machine(1))


def recoded(content):
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).resize((96, 72)).save(file, format="JPEG", quality=60)
    return file.getvalue()


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    directory = tmp_path_factory.mktemp("audit")
    training = {f"t{n}": (jpeg(n, 120, 160), (n, 2 * n), f"by{n}") for n in range(30)}
    metre = 360 / 40_030_000
    test = {
        "t4": (jpeg(104), (-50, 1), ""),
        "copy": (recoded(jpeg(7, 120, 160)), (-51, 1), "nobody"),
        "author": (jpeg(105), (-52, 1), "by9"),
        "place": (jpeg(106), (11 + 20 * metre, 22), "new"),
        "away": (jpeg(107), (12 + 30 * metre, 24), ""),
        "flat": (flat(), (-54, 1), ""),
        "fine": (jpeg(108), (-53, 1), "somebody"),
    }
    train = dataset(directory, "mine", "train", training)
    theirs = dataset(directory, "theirs", "test", test)
    out = directory / "out"
    main(["--train", str(train), "--test", str(theirs), "--out", str(out), "--threads", "1"])
    return train, theirs, out


def flat():
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (9, 80, 20)).save(file, format="PNG")
    return file.getvalue()


def test_leaks_are_named_with_their_partner(audited):
    with (audited[2] / "leaks-theirs.csv").open(newline="") as file:
        found = {row["id"]: (row["reason"], row["training_id"]) for row in csv.DictReader(file)}
    assert found == {"t4": ("id", "t4"), "copy": ("near copy", "t7"), "author": ("author", "t9")}


def test_counts_stand_in_the_report(audited):
    row = next(
        line for line in (audited[2] / "report.md").read_text().splitlines() if "theirs" in line
    )
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["7", "1", "1", "1", "4", "1"]


def test_the_clean_photos_are_a_dataset(audited):
    clean = open_dataset(audited[2] / "theirs_clean" / "2.0.0", verify=True).split("test")
    records = {record["id"]: record for record in clean.records}
    assert set(records) == {"place", "away", "flat", "fine"}
    whole = {r["id"]: r for r in open_dataset(audited[1]).split("test").records}
    for identity, record in records.items():
        assert record["image"] == whole[identity]["image"]
        np.testing.assert_array_equal(record["latlng"], whole[identity]["latlng"])


def test_photos_are_hashed_once(audited, monkeypatch):
    train, theirs, out = audited

    def refuse(pixels):
        raise AssertionError("hashed again")

    monkeypatch.setattr("geosurge_jax.importing.audit.perceptual_hash", refuse)
    main(["--train", str(train), "--test", str(theirs), "--out", str(out)])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--bits", "9"], "9 differing bits, expected 0 to 8"),
        (["--metres", "0"], "0.0 metres, expected above 0"),
        (["--test", "nowhere"], "nowhere: no manifest.json"),
    ],
)
def test_wrong_flags_end_in_one_line(audited, flags, message):
    train, theirs, out = audited
    with pytest.raises(SystemExit) as error:
        main(["--train", str(train), "--test", str(theirs), "--out", str(out), *flags])
    assert str(error.value).startswith("error: ") and message in str(error.value)


def test_features_cannot_be_looked_at(audited, tmp_path):
    train = open_dataset(audited[0])
    columns = FeatureColumns("float32", 8, None, 32, None, "")
    split = dataclasses.replace(train.split("train"), features=columns)
    with pytest.raises(ValueError, match="features in place of photos, expected the dataset they"):
        looks_of(train, split, tmp_path, 1)


def test_a_training_set_that_holds_the_whole_test_set(audited, tmp_path):
    photos = {"t1": (jpeg(1), (1, 1), "")}
    theirs = dataset(tmp_path, "all", "test", photos)
    with pytest.raises(SystemExit, match="all 1 photos of test leak"):
        main(["--train", str(audited[0]), "--test", str(theirs), "--out", str(tmp_path / "out")])
