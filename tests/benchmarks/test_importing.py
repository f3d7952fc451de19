"""The bad-data benchmark, small: what it mixes in, and that it notices what an import gets wrong."""

import csv
import dataclasses

import pytest

from benchmarks.damaged_photos import TROUBLES, picture
from benchmarks.photo_archives import SHAPES
from benchmarks.photo_collection import make_collection
from geosurge_jax.importing.prepare import main
from geosurge_jax.input.images import decode_image

PHOTOS, SIDE = 40, 64


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return make_collection(tmp_path_factory.mktemp("photos") / "damaged", PHOTOS, SIDE, 0.03)


def imported(collection, shape, folder):
    (folder / "source").mkdir()
    SHAPES[shape](folder / "source", collection.stored(shape))
    given = ["--source", str(folder / "source"), "--table", str(collection.table)]
    main(["mp16", *given, "--out", str(folder / "out"), "--workers", "1"])
    (dataset,) = (folder / "out" / "mp16").iterdir()
    return dataset


@pytest.mark.parametrize("shape", ["tree", "webdataset", "zip"])
def test_good_photos_arrive_and_the_others_are_named(shape, collection, tmp_path, capsys):
    kinds = collection.check(shape, imported(collection, shape, tmp_path))
    common = {"unreadable image": 3, "too small": 1, "extreme shape": 1, "placeholder": 10}
    common |= {"duplicate id": 1, "swapped coordinates": 1, "rejected row": 1}
    common |= {"damaged id": 1, "no row": 1}
    special = {"webdataset": {"unsafe name": 1}, "zip": {"unsafe name": 1, "too large file": 1}}
    assert kinds == common | special.get(shape, {})
    assert f"{PHOTOS + 5} photos arrived" in capsys.readouterr().out


def test_what_an_import_gets_wrong_is_noticed(collection, tmp_path):
    dataset = imported(collection, "tree", tmp_path)
    first = collection.photos[0]
    moved = dataclasses.replace(first, row=(*first.row[:2], "1", "2", *first.row[4:]))
    lost = dataclasses.replace(first, name="lost/1.jpg")
    for wrong in (moved, lost):
        expecting = dataclasses.replace(collection, photos=[wrong, *collection.photos[1:]])
        with pytest.raises(ValueError, match=r"photos: 1 missing .*, 1 too much"):
            expecting.check("tree", dataset)
    lines = (dataset / "rejected.csv").read_text().splitlines(keepends=True)
    (dataset / "rejected.csv").write_text("".join(lines[:-1]))
    with pytest.raises(ValueError, match=r"rejections: 1 missing .*placeholder.*, 0 too much"):
        collection.check("tree", dataset)


def test_the_table_went_through_a_spreadsheet(collection):
    content = collection.table.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") and b"\r\n" in content
    with collection.table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum("\n" in row["AUTHOR"] for row in rows) == 1
    assert sum("E+15" in row["IMG_ID"] for row in rows) == 1
    assert sum(abs(float(row["LAT"])) > 90 for row in rows) == 1


@pytest.mark.parametrize("name", [name for name, one in TROUBLES.items() if not one.kind])
def test_strange_photos_show_what_they_were_made_of(name):
    decoded = decode_image(TROUBLES[name].make(5, SIDE)).astype(int)
    expected = picture(5, SIDE).astype(int)
    if name == "turned by EXIF":
        expected = expected.transpose(1, 0, 2)[:, ::-1]
    if name in ("16 bit", "GIF"):
        expected = expected[..., :1]
    assert decoded.shape[:2] == expected.shape[:2]
    assert abs(decoded - expected).mean() < (3 if TROUBLES[name].suffix == ".jpg" else 1e-9)
