import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from geosurge_jax.dataset.manifest import DatasetError, read_manifest
from geosurge_jax.dataset.reader import open_dataset


@pytest.fixture
def copy(ramp_dataset, tmp_path) -> Path:
    return Path(shutil.copytree(ramp_dataset, tmp_path / "copy"))


def shard_of(directory: Path, number: int = 0) -> Path:
    return sorted(directory.glob("ramps-train.array_record-*"))[number]


def edit_manifest(directory: Path, change) -> None:
    path = directory / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_records_come_back_exactly_and_in_order(ramp_dataset):
    dataset = open_dataset(ramp_dataset, verify=True)
    assert dataset.manifest.segmentation_classes == ("wall", "sky")
    assert len(dataset.split("train")) == 16 and len(dataset.split("test")) == 5
    split = dataset.split("test")
    for index in (0, 4, 2):
        record = split.records[index]
        assert record["id"] == f"photo {16 + index}"
        assert record["author"] == f"Zoë {16 + index}" and record["licence"] == "CC0"
        assert record["scene"].tolist() == [(16 + index) % 3 - 1, index, 348 - index]
        assert record["latlng"].dtype == np.float64
        assert tuple(record["latlng"]) == (1 / 3 + 16 + index, 100 + (16 + index) / 7)
        assert record["image"].startswith(b"\x89PNG")
        np.testing.assert_array_equal(split.latlng[index], record["latlng"])


def test_location_names_shard_and_place_in_it(train_split):
    shards = [(shard.file, i) for shard in train_split.shards for i in range(shard.records)]
    assert len({file for file, _ in shards}) > 1
    found = [train_split.location(index) for index in range(len(train_split))]
    assert found == [f"{file}, {i}" for file, i in shards]


@pytest.mark.parametrize("verify", [False, True])
def test_a_missing_shard(copy, verify):
    shard_of(copy, 1).unlink()
    with pytest.raises(DatasetError, match="00001-of.*missing.*config.data.source"):
        open_dataset(copy, verify=verify)


def test_a_truncated_shard(copy):
    path = shard_of(copy)
    path.write_bytes(path.read_bytes()[:-1])
    size = path.stat().st_size
    with pytest.raises(DatasetError, match=rf"00000-of.*{size} bytes, expected {size + 1} "):
        open_dataset(copy)


def test_a_changed_shard_of_the_same_size_is_found_by_verify(copy):
    content = bytearray(shard_of(copy).read_bytes())
    content[len(content) // 3] ^= 1
    shard_of(copy).write_bytes(content)
    open_dataset(copy)
    with pytest.raises(DatasetError, match="00000-of.*SHA-256 .*expected"):
        open_dataset(copy, verify=True)


def test_a_shard_that_is_no_array_record(copy):
    shard_of(copy).write_bytes(bytes(shard_of(copy).stat().st_size))
    with pytest.raises(DatasetError, match="00000-of.*not a readable ArrayRecord"):
        open_dataset(copy)


def test_a_wrong_count_in_the_manifest(copy):
    def change(content):
        content["splits"]["train"][0]["records"] += 1

    before = read_manifest(copy).splits["train"][0].records
    edit_manifest(copy, change)
    with pytest.raises(DatasetError, match=f"{before} records, expected {before + 1} "):
        open_dataset(copy)


def test_coordinates_that_do_not_fit_the_records(copy):
    np.save(copy / "train-latlng.npy", np.zeros((15, 2)))
    with pytest.raises(DatasetError, match=r"float64 \[15, 2\], expected float64 \[16, 2\]"):
        open_dataset(copy)
    np.save(copy / "train-latlng.npy", np.zeros((16, 2)))
    with pytest.raises(DatasetError, match="train-latlng.npy: SHA-256"):
        open_dataset(copy)
    (copy / "train-latlng.npy").unlink()
    with pytest.raises(DatasetError, match="train-latlng.npy: missing"):
        open_dataset(copy)


@pytest.mark.parametrize("change", [lambda a: a[::-1], lambda a: a + np.eye(*a.shape) * 1e-13])
def test_coordinates_that_were_tampered_with(copy, change):
    """Reversed rows, and a bit that no one would see."""
    path = copy / "train-latlng.npy"
    np.save(path, change(np.load(path)))
    with pytest.raises(DatasetError, match="train-latlng.npy: SHA-256 .*expected"):
        open_dataset(copy)


def test_a_description_of_another_dataset(copy):
    path = copy / "dataset_info.json"
    path.write_text(path.read_text().replace('"ramps"', '"stairs"'))
    with pytest.raises(DatasetError, match="dataset_info.json: stairs .* expected ramps"):
        open_dataset(copy)
    path.unlink()
    with pytest.raises(DatasetError, match="dataset_info.json or features.json is missing"):
        open_dataset(copy)


def test_foreign_directories(copy, tmp_path):
    with pytest.raises(DatasetError, match="no such directory.*config.data.source"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(DatasetError, match="did you mean .*/copy"):
        open_dataset(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no manifest.json; expected"):
        open_dataset(tmp_path / "empty")


def test_manifests_that_are_none(copy):
    edit_manifest(copy, lambda content: content.pop("scenes"))
    with pytest.raises(DatasetError, match="scenes"):
        open_dataset(copy)
    edit_manifest(copy, lambda content: content.update(format=99))
    with pytest.raises(DatasetError, match="format 99, expected 2"):
        open_dataset(copy)
    edit_manifest(copy, lambda content: content.update(format=1))
    with pytest.raises(DatasetError, match="format 1, expected 2; make the dataset again"):
        open_dataset(copy)
    for text in ("{", "[]", '{"a": 1}', "\xff"):
        (copy / "manifest.json").write_text(text, encoding="latin-1")
        with pytest.raises(DatasetError, match="not a manifest"):
            open_dataset(copy)


def test_an_unknown_split(ramp_dataset):
    with pytest.raises(DatasetError, match="'val', expected one of train, test"):
        open_dataset(ramp_dataset).split("val")
