import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.dataset.reader import Dataset, open_dataset
from geosurge_jax.importing import folder_photos, folder_rows
from geosurge_jax.importing.audit import audit
from geosurge_jax.importing.folder import main, prepare
from geosurge_jax.input.images import decode_image

ROOT = Path(__file__).resolve().parents[2]
SHARED_PHOTOS = ROOT.parent / "shared" / "photos"

GPS = {1: "S", 2: (33.0, 51.0, 30.6), 3: "E", 4: (151.0, 12.0, 36.0)}
SYDNEY = (-(33 + 51 / 60 + 30.6 / 3600), 151 + 12 / 60 + 36 / 3600)


def picture(name: str, height: int = 40, width: int = 60) -> np.ndarray:
    """A picture of its own for each name, uint8 [H, W, 3]."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    small = Image.fromarray(rng.integers(0, 256, (4, 6, 3)).astype(np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def photo(path: Path, *, gps: dict | None = None, turned: int = 1, **options) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    exif[0x010F] = "SECRET maker"
    if gps:
        exif.get_ifd(0x8825).update(gps)
    Image.fromarray(picture(path.name)).save(path, exif=exif, **options)


def folder_of(directory: Path, rows: list[dict], **options) -> Path:
    """A folder with a photo for each `file` that does not start with "missing", and a table."""
    directory.mkdir(parents=True, exist_ok=True)
    for row in rows:
        if row.get("file") and not row["file"].startswith("missing"):
            photo(directory / row["file"], **options)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (directory / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return directory


def good_rows(count: int) -> list[dict]:
    return [
        {"file": f"{i}.jpg", "lat": f"{i}.25", "lng": f"{10 * i}.1"} for i in range(1, count + 1)
    ]


def rejected(dataset: Dataset) -> list[dict]:
    text = (dataset.directory / "rejected.csv").read_text()
    return list(csv.DictReader(io.StringIO(text)))


def records_of(dataset: Dataset) -> dict[str, dict]:
    splits = [dataset.split(name) for name in dataset.manifest.splits]
    return {record["id"]: record for split in splits for record in split.records}


def test_a_table_is_imported_with_all_its_columns(tmp_path):
    rows = good_rows(12)
    for i, row in enumerate(rows):
        row |= {"id": f"photo {i}", "author": f"author {i}", "license": "CC0", "precision": "gps"}
        row["scene"] = ("urban", "", "Natural", "cave")[i % 4]
        row["S3_Label"] = ("", "0", "1.0", "")[i % 4]
        row["S16_Label"], row["S365_Label"] = str(i), ("", "364")[i % 2]
        row["segmentation"] = "map.png" if i % 2 else ""
    source = folder_of(tmp_path / "My Photos!", rows)
    Image.fromarray(np.full((2, 3), 149, np.uint8)).save(source / "map.png")
    dataset = open_dataset(prepare(tmp_path / "out", source), verify=True)
    assert dataset.directory == tmp_path / "out" / "my_photos" / "2.0.0"
    assert list(dataset.manifest.splits) == ["train", "validation", "test"]
    assert len(dataset.manifest.segmentation_classes) == 150
    assert dataset.manifest.licence == "12 photos: CC0"
    records = records_of(dataset)
    assert len(records) == 12 and rejected(dataset) == []
    for i, row in enumerate(rows):
        record = records[f"photo {i}"]
        assert tuple(record["latlng"]) == (float(row["lat"]), float(row["lng"]))
        assert (record["author"], record["licence"]) == (f"author {i}", "CC0")
        assert tuple(record["scene"]) == ((2, 0, 1, -1)[i % 4], i, (-1, 364)[i % 2])
        classes = np.asarray(Image.open(io.BytesIO(record["segmentation"])))
        assert (classes == (149 if i % 2 else 255)).all()


def test_every_kind_of_bad_row_is_named(tmp_path):
    bad = {
        "missing.jpg": {"lat": "1", "lng": "2", "why": "missing file: missing.jpg"},
        "garbage.jpg": {"lat": "1", "lng": "2", "why": "unreadable image: "},
        "cut.jpg": {"lat": "1", "lng": "2", "why": "unreadable image: "},
        "swapped.jpg": {"lat": "139.7", "lng": "35.6", "why": "swapped coordinates: "},
        "far.jpg": {"lat": "95", "lng": "100", "why": "out of range: "},
        "wide.jpg": {"lat": "5", "lng": "200", "why": "out of range: "},
        "null.jpg": {"lat": "0", "lng": "0.0", "why": "no position: "},
        "nan.jpg": {"lat": "nan", "lng": "3", "why": "not a number: "},
        "inf.jpg": {"lat": "3", "lng": "inf", "why": "not a number: "},
        "text.jpg": {"lat": "48,7,7", "lng": "9", "why": "not a number: latitude '48,7,7'"},
        "empty.jpg": {"lat": "", "lng": "9", "why": "not a number: latitude ''"},
        "twice.jpg": {
            "lat": "3",
            "lng": "9",
            "id": "1.jpg",
            "why": "duplicate id: already in row 2",
        },
        "map1.jpg": {
            "lat": "1",
            "lng": "2",
            "segmentation": "no.png",
            "why": "missing segmentation",
        },
        "map2.jpg": {
            "lat": "1",
            "lng": "2",
            "segmentation": "1.jpg",
            "why": "unreadable segmentat",
        },
        "map3.jpg": {
            "lat": "1",
            "lng": "2",
            "segmentation": "bad.png",
            "why": "unknown class: 150",
        },
        "scene1.jpg": {
            "lat": "1",
            "lng": "2",
            "S16_Label": "16",
            "why": "unknown scene: '16' of 16, expected -1 to 15",
        },
        "scene2.jpg": {"lat": "1", "lng": "2", "S365_Label": "1.5", "why": "unknown scene: '1.5'"},
        "": {"lat": "1", "lng": "2", "why": "missing file: the row names none"},
    }
    why = {name: row.pop("why") for name, row in bad.items()}
    rows = good_rows(6) + [{"file": name, **row} for name, row in bad.items()]
    source = folder_of(tmp_path / "photos", rows)
    (source / "garbage.jpg").write_bytes(b"garbage")
    (source / "cut.jpg").write_bytes((source / "1.jpg").read_bytes()[:-100])
    Image.fromarray(np.full((2, 3), 150, np.uint8)).save(source / "bad.png")
    dataset = open_dataset(prepare(tmp_path / "out", source))
    found = rejected(dataset)
    assert [row["file"] for row in found] == list(bad)
    assert [int(row["row"]) for row in found] == list(range(8, 8 + len(bad)))
    for row in found:
        assert row["reason"].startswith(why[row["file"]]), row
    assert set(records_of(dataset)) == {f"{i}.jpg" for i in range(1, 7)}


def test_the_first_row_that_passes_keeps_the_id(tmp_path):
    rows = good_rows(4)
    for row in rows:
        row["id"] = row["file"]
    rows[0] |= {"lat": "99", "lng": "120"}
    rows[1]["id"] = "1.jpg"
    dataset = open_dataset(prepare(tmp_path / "out", folder_of(tmp_path / "p", rows)))
    assert records_of(dataset)["1.jpg"]["latlng"][0] == 2.25
    assert [row["reason"][:12] for row in rejected(dataset)] == ["out of range"]


def test_longitude_180_is_minus_180(tmp_path):
    rows = good_rows(4)
    rows[0]["lng"] = "180"
    dataset = open_dataset(prepare(tmp_path / "out", folder_of(tmp_path / "p", rows)))
    assert records_of(dataset)["1.jpg"]["latlng"].tolist() == [1.25, -180.0]


def test_positions_come_from_exif_where_there_is_no_table(tmp_path):
    source = tmp_path / "camera"
    (source / "deeper").mkdir(parents=True)
    photo(source / "a.jpg", gps=GPS)
    photo(source / "deeper" / "b.png", gps=GPS | {1: "N", 3: "W"})
    photo(source / "c.webp", gps=GPS | {2: (10.0, 0.0, 0.0)}, lossless=True)
    photo(source / "none.jpg")
    photo(source / "half.jpg", gps={1: "N", 2: (1.0, 2.0, 3.0)})
    photo(source / "null.jpg", gps={1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)})
    photo(source / "._a.jpg", gps=GPS)
    dataset = open_dataset(prepare(tmp_path / "out", source))
    records = records_of(dataset)
    assert set(records) == {"a.jpg", "deeper/b.png", "c.webp"}
    np.testing.assert_allclose(records["a.jpg"]["latlng"], SYDNEY, atol=1e-9)
    np.testing.assert_allclose(
        records["deeper/b.png"]["latlng"], (-SYDNEY[0], -SYDNEY[1]), atol=1e-9
    )
    assert {row["file"]: row["reason"].partition(":")[0] for row in rejected(dataset)} == {
        "none.jpg": "no position",
        "half.jpg": "no position",
        "null.jpg": "no position",
    }


@pytest.mark.parametrize("turned", [1, 6])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_photos_are_stored_upright_and_without_metadata(tmp_path, suffix, turned):
    source = tmp_path / "camera"
    source.mkdir()
    options = {"lossless": True} if suffix == ".webp" else {}
    options |= {"quality": 95} if suffix == ".jpg" else {}
    for i in range(3):
        place = GPS | {2: (10.0 * i, 0.0, 0.0)}
        photo(source / f"{i}{suffix}", gps=place, turned=turned, **options)
    rows = [{"file": f"{i}{suffix}", "lat": 10 * i + 1, "lng": 5} for i in range(3)]
    with (source / "metadata.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    records = records_of(open_dataset(prepare(tmp_path / "out", source)))
    assert len(records) == 3
    for record in records.values():
        content = record["image"]
        assert b"SECRET" in (source / record["id"]).read_bytes() and b"SECRET" not in content
        assert b"Exif" not in content and b"eXIf" not in content
        assert len(Image.open(io.BytesIO(content)).getexif()) == 0
        expected = picture(record["id"])
        expected = np.rot90(expected, -1) if turned == 6 else expected
        pixels = decode_image(content)
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).mean() < 5
        if turned == 1 and suffix != ".tif":
            original = decode_image((source / record["id"]).read_bytes())
            np.testing.assert_array_equal(pixels, original)  # lossless
            assert len(content) < len((source / record["id"]).read_bytes())


def test_short_side(tmp_path):
    source = folder_of(tmp_path / "p", good_rows(4))
    Image.fromarray(picture("small", 33, 36)).save(source / "2.jpg")
    records = records_of(open_dataset(prepare(tmp_path / "out", source, short_side=34)))
    assert decode_image(records["1.jpg"]["image"]).shape == (34, 51, 3)
    assert decode_image(records["2.jpg"]["image"]).shape == (33, 36, 3)


def test_authors_and_places_are_not_torn_apart(tmp_path):
    rows = []
    for i in range(60):
        author = f"author {i % 12}" if i % 2 else ""
        place = (i // 2) % 9  # photos without author: nine places, metres apart within each
        rows.append(
            {"file": f"{i}.jpg", "lat": 5 * place + i * 1e-5, "lng": 10.0 + place, "author": author}
        )
    dataset = open_dataset(prepare(tmp_path / "out", folder_of(tmp_path / "p", rows)))
    homes: dict[str, set[str]] = {}
    for name in dataset.manifest.splits:
        for record in dataset.split(name).records:
            key = record["author"] or f"{record['latlng'][0] // 5}"
            homes.setdefault(key, set()).add(name)
    assert len(homes) == 15
    assert all(len(names) == 1 for names in homes.values())


def test_the_audit_of_a_folder_with_copies_finds_no_leak(tmp_path):
    """Of 60 photos 15 are byte-identical copies and 15 re-encoded ones, by other authors elsewhere."""
    rows = []
    for i in range(60):
        rows.append({"file": f"{i}.jpg", "lat": i + 1, "lng": 2 * i, "author": f"author {i}"})
    source = folder_of(tmp_path / "p", rows)
    rng = np.random.default_rng(0)
    for i in range(60):
        detail = Image.fromarray(rng.integers(0, 256, (16, 16)).astype(np.uint8))
        detail.resize((96, 96), Image.Resampling.BICUBIC).save(source / f"{i}.jpg", quality=95)
    for i in range(15):
        shutil.copy(source / f"{i}.jpg", source / f"{i + 15}.jpg")
        Image.open(source / f"{i}.jpg").save(source / f"{i + 30}.jpg", quality=60)
    path = prepare(tmp_path / "out", source)
    dataset = open_dataset(path)
    homes = {
        record["id"]: name
        for name in dataset.manifest.splits
        for record in dataset.split(name).records
    }
    assert len(homes) == 60
    for i in range(15):
        assert homes[f"{i}.jpg"] == homes[f"{i + 15}.jpg"] == homes[f"{i + 30}.jpg"]
    (row,) = audit(path, [path], tmp_path / "audit", 4, 25.0, 2).rows
    assert row[2:5] == ("0", "0", "0")
    assert len(set(homes.values())) == 3


def test_a_file_that_goes_away_while_it_is_imported_is_a_rejected_row(tmp_path, monkeypatch):
    source = folder_of(tmp_path / "p", good_rows(6))
    original = folder_photos.stored_photo

    def failing(content, *arguments, **named):
        if content == (source / "2.jpg").read_bytes():
            raise MemoryError
        return original(content, *arguments, **named)

    monkeypatch.setattr(folder_photos, "stored_photo", failing)
    dataset = open_dataset(prepare(tmp_path / "out", source, fractions=(1, 0, 0)), verify=True)
    assert set(records_of(dataset)) == {f"{i}.jpg" for i in (1, 3, 4, 5, 6)}
    (row,) = rejected(dataset)
    assert (row["file"], row["reason"]) == ("2.jpg", "unreadable file: MemoryError")


def test_a_row_that_fails_in_an_unknown_way_is_a_rejected_row(tmp_path, monkeypatch):
    source = folder_of(tmp_path / "p", good_rows(6))
    original = folder_rows.check_image

    def failing(content):
        if content == (source / "2.jpg").read_bytes():
            raise RecursionError("maximum recursion depth\nexceeded")
        return original(content)

    monkeypatch.setattr(folder_rows, "check_image", failing)
    dataset = open_dataset(prepare(tmp_path / "out", source))
    (row,) = rejected(dataset)
    assert row["reason"] == "unreadable file: maximum recursion depth exceeded"


def test_the_same_folder_is_not_imported_twice(tmp_path):
    source = folder_of(tmp_path / "p", good_rows(5))
    path = prepare(tmp_path / "out", source)
    before = {file.name: file.stat().st_mtime_ns for file in path.iterdir()}
    assert prepare(tmp_path / "out", source) == path
    assert {file.name: file.stat().st_mtime_ns for file in path.iterdir()} == before
    with pytest.raises(ValueError, match="fractions was .* and is now"):
        prepare(tmp_path / "out", source, fractions=(0.6, 0.2, 0.2))
    again = prepare(tmp_path / "out", source, version="1.0.1")
    assert again.name == "1.0.1"


def test_a_corrected_position_of_the_same_size_is_noticed(tmp_path):
    """As exiftool leaves it: rationals keep their size."""
    source = tmp_path / "p"
    source.mkdir()
    for i in range(4):
        photo(source / f"{i}.jpg", gps=GPS | {2: (10.0 * i + 5, 0.0, 0.0)})
    path = prepare(tmp_path / "out", source)
    size = (source / "3.jpg").stat().st_size
    photo(source / "3.jpg", gps=GPS | {2: (44.0, 0.0, 0.0)})
    photo(source / "new.jpg", gps=GPS)
    (source / "0.jpg").unlink()
    assert (source / "3.jpg").stat().st_size == size
    expected = (
        r"1 added \(new.jpg\), 1 removed \(0.jpg\), 1 changed \(3.jpg\).*"
        r"python -m data.folder --source .*p --out .*out --name p --version 2.0.0 --rebuild"
    )
    with pytest.raises(ValueError, match=expected):
        prepare(tmp_path / "out", source)
    assert records_of(open_dataset(path))["3.jpg"]["latlng"][0] == -35
    assert prepare(tmp_path / "out", source, rebuild=True) == path
    records = records_of(open_dataset(path, verify=True))
    assert set(records) == {"1.jpg", "2.jpg", "3.jpg", "new.jpg"}
    assert records["3.jpg"]["latlng"][0] == -44
    assert prepare(tmp_path / "out", source) == path


def test_touched_files_are_hashed_and_found_unchanged(tmp_path):
    source = folder_of(tmp_path / "p", good_rows(4))
    path = prepare(tmp_path / "out", source)
    os.utime(source / "1.jpg", ns=(1, 1))
    assert prepare(tmp_path / "out", source) == path


def test_unchanged_files_are_not_read_again(tmp_path, monkeypatch):
    source = folder_of(tmp_path / "p", good_rows(4))
    path = prepare(tmp_path / "out", source)
    monkeypatch.setattr("geosurge_jax.importing.folder_state.hashlib.sha256", only_once())
    assert prepare(tmp_path / "out", source) == path


def only_once():
    """SHA-256 that counts how often it is made: of the table, of all files together, of no file."""
    made = []

    def sha256(content: bytes = b""):
        made.append(content)
        assert len(made) <= 3
        return hashlib.new("sha256", content)

    return sha256


def test_two_folders_of_the_same_name_do_not_collide(tmp_path):
    one = folder_of(tmp_path / "a" / "p", good_rows(4))
    two = folder_of(tmp_path / "b" / "p", good_rows(5))
    first, second = (prepare(tmp_path / "out", source) for source in (one, two))
    assert first != second and second.parent.name.startswith("p_")
    assert (prepare(tmp_path / "out", one), prepare(tmp_path / "out", two)) == (first, second)
    assert len(records_of(open_dataset(first))) == 4
    assert len(records_of(open_dataset(second))) == 5


def test_a_copy_of_the_folder_gives_the_same_bytes(tmp_path):
    source = folder_of(tmp_path / "p", good_rows(5))
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(source, tmp_path / "elsewhere" / "p")
    one = prepare(tmp_path / "one", source)
    two = prepare(tmp_path / "two", tmp_path / "elsewhere" / "p", threads=1)
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"latitude": "northing"}}, "no column 'northing'.*file, lat, lng"),
        ({"columns": {"colour": "lat"}}, "column role 'colour', expected one of latitude"),
        ({"table": "other.csv"}, "other.csv: No such file.*--table"),
        ({"fractions": (0.8, 0.1)}, "add up to 1"),
        ({"fractions": (0.5, 0.1, 0.1)}, "add up to 1"),
        ({"fractions": (0.0, 0.5, 0.5)}, "the first above 0"),
        ({"short_side": 0}, "short side 0"),
        ({"name": "A b"}, "dataset name 'A b'"),
    ],
)
def test_senseless_options(tmp_path, options, message):
    source = folder_of(tmp_path / "p", good_rows(4))
    with pytest.raises(ValueError, match=message) as error:
        prepare(tmp_path / "out", source, **options)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").rglob("*.*"))


def test_folders_without_photos(tmp_path):
    with pytest.raises(ValueError, match="no such folder.*config.data.source"):
        prepare(tmp_path / "out", tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no table and no photos"):
        prepare(tmp_path / "out", tmp_path / "empty")
    with pytest.raises(ValueError, match="no metadata.csv or metadata.jsonl"):
        prepare(tmp_path / "out", tmp_path / "empty", columns={"latitude": "lat"})
    rows = [{"file": "missing.jpg", "lat": 1, "lng": 2}, {"file": "a.jpg", "lat": 95, "lng": 100}]
    source = folder_of(tmp_path / "bad", rows)
    expected = r"none of 2 rows survived \(1 missing file, 1 out of range\); row 2 \(missing.jpg\)"
    with pytest.raises(ValueError, match=expected):
        prepare(tmp_path / "out", source)
    assert not list((tmp_path / "out").rglob("*.*"))


def test_too_few_places_for_three_splits(tmp_path):
    rows = [{"file": f"{i}.jpg", "lat": 1, "lng": 2} for i in range(5)]
    source = folder_of(tmp_path / "p", rows)
    with pytest.raises(ValueError, match="5 photos of 1 authors or places, expected at least 3"):
        prepare(tmp_path / "out", source)
    dataset = open_dataset(prepare(tmp_path / "out", source, fractions=(1, 0, 0)))
    assert list(dataset.manifest.splits) == ["train"] and len(dataset.split("train")) == 5


def test_the_command_line(tmp_path, capsys):
    rows = [{"pic": f"{i}.jpg", "northing": i, "east": 2} for i in range(1, 5)]
    for i, row in enumerate(rows):
        row["northing"] = 10 * i + 1
    source = folder_of(tmp_path / "p", [{"file": row["pic"]} | row for row in rows])
    text = (source / "metadata.csv").read_text()
    (source / "list.csv").write_text(text.replace("file,", "nothing,"))
    (source / "metadata.csv").unlink()
    command = [sys.executable, "-m", "data.folder", "--source", str(source), "--table", "list.csv"]
    command += ["--out", str(tmp_path / "out"), "--name", "mine", "--fractions", "0.5,0,0.5"]
    command += ["--latitude-column", "northing", "--longitude-column", "east"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "no column for the file" in done.stderr and "--file-column with one of" in done.stderr
    command += ["--file-column", "pic"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "columns not used: nothing" in done.stderr and "4 photos" in done.stderr
    assert len(records_of(open_dataset(tmp_path / "out" / "mine" / "2.0.0"))) == 4
    with pytest.raises(SystemExit):
        main(["--source", str(source), "--out", str(tmp_path), "--fractions", "a,b"])
    assert "argument --fractions: invalid" in capsys.readouterr().err


@pytest.mark.skipif(not SHARED_PHOTOS.is_dir(), reason="the shared real photos are not there")
def test_the_shared_real_photos(tmp_path):
    with (SHARED_PHOTOS / "metadata.csv").open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    dataset = open_dataset(prepare(tmp_path, SHARED_PHOTOS), verify=True)
    records = records_of(dataset)
    assert set(records) == set(rows) and rejected(dataset) == []
    for identity, record in records.items():
        row = rows[identity]
        assert record["latlng"].tolist() == [float(row["latitude"]), float(row["longitude"])]
        assert decode_image(record["image"]).shape == (int(row["height"]), int(row["width"]), 3)
        assert len(Image.open(io.BytesIO(record["image"])).getexif()) == 0
        classes = np.asarray(Image.open(io.BytesIO(record["segmentation"])))
        assert classes.shape == (int(row["height"]), int(row["width"]))


def test_lone_surrogates_of_json_are_rejected_rows(tmp_path):
    source = tmp_path / "p"
    source.mkdir()
    rows = [{"file": f"{i}.jpg", "lat": 10 * i + 1, "lng": 5} for i in range(4)]
    rows[3]["author"] = "\ud83d"  # half a character
    for row in rows:
        photo(source / row["file"])
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (source / "metadata.jsonl").write_text(lines)
    dataset = open_dataset(prepare(tmp_path / "out", source))
    assert set(records_of(dataset)) == {"0.jpg", "1.jpg", "2.jpg"}
    assert [row["file"] for row in rejected(dataset)] == ["3.jpg"]
