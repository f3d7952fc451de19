import io
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from geosurge_jax.dataset.directory import finished_dataset
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.shards import NO_MAP
from geosurge_jax.dataset.writer import write_dataset

ROOT = Path(__file__).resolve().parents[2]


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **({"lossless": True} if form == "WEBP" else {}))
    return file.getvalue()


def photos(count: int) -> list[Record]:
    generator = np.random.default_rng(0)
    shapes = [(12, 10 + i, 3) for i in range(count)]
    return [
        Record(
            id=f"{'kzaq'[i % 4]}{i}",  # not in the order of their hashes, nor of the alphabet
            image=encoded(
                generator.integers(0, 256, shape, np.uint8), ("PNG", "JPEG", "WEBP")[i % 3]
            ),
            latlng=(1 / 3 - i * 1e-13, 179.99999999999997 - i),
            segmentation=encoded(np.full((3, 4), i, np.uint8)) if i % 2 else None,
            scene=(i % 4 - 1, i % 17 - 1, 40 * i - 1),
            author="Ä" * i,
            licence="CC BY 4.0",
        )
        for i, shape in enumerate(shapes)
    ]


def write(directory: Path, records=None, source=1, **options) -> Path:
    records = photos(9) if records is None else records
    splits = {"train": lambda: records[:6], "test": lambda: iter(records[6:])}
    options = {"splits": splits, "name": "photos", "version": "1.2.3"} | options
    return write_dataset(
        directory,
        segmentation_classes=["wall"],
        source={"seed": source},
        description="Some photos.",
        licence="CC BY 4.0",
        **options,
    )


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def left_over(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_tfds_reads_and_decodes_it(tmp_path):
    path = write(tmp_path)
    assert path == tmp_path / "photos" / "1.2.3"
    builder = tfds.builder_from_directory(path)
    read: Any = builder.as_data_source
    assert builder.info.description == "Some photos."
    for split, records in (("train", photos(9)[:6]), ("test", photos(9)[6:])):
        source = read(split=split)
        assert len(source) == len(records)
        for found, record in zip(source, records, strict=True):
            expected = np.asarray(Image.open(io.BytesIO(record.image)))
            np.testing.assert_array_equal(found["image"], expected)
            if record.segmentation is None:
                np.testing.assert_array_equal(found["segmentation"], [[[255]]])
            else:
                assert found["segmentation"].shape == (3, 4, 1)
                assert (found["segmentation"] == int(record.id[1:])).all()
            assert found["latlng"].dtype == np.float64
            assert tuple(found["latlng"]) == record.latlng
            assert found["id"].decode() == record.id
            assert found["author"].decode() == record.author
            assert found["licence"].decode() == record.licence
            assert found["scene"].dtype == np.int32 and tuple(found["scene"]) == record.scene


def test_encoded_bytes_and_order_are_kept(tmp_path):
    path = write(tmp_path, shard_bytes=1500)
    split = open_dataset(path, verify=True).split("train")
    assert len(split.shards) > 1
    for index, record in enumerate(photos(9)[:6]):
        assert split.records[index]["image"] == record.image
        assert split.records[index]["segmentation"] == (record.segmentation or NO_MAP)
        assert split.records[index]["latlng"].tolist() == split.latlng[index].tolist()
    assert split.latlng.tolist() == [list(record.latlng) for record in photos(6)]


def test_the_map_of_a_record_without_one():
    image = Image.open(io.BytesIO(NO_MAP))
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("L", (1, 1), 255)


def test_the_manifest(tmp_path):
    manifest = open_dataset(write(tmp_path)).manifest
    assert (manifest.name, manifest.version) == ("photos", "1.2.3")
    assert list(manifest.splits) == ["train", "test"]
    assert (manifest.count("train"), manifest.count("test")) == (6, 3)
    assert manifest.segmentation_classes == ("wall",)
    assert manifest.scenes == ("indoor", "natural", "urban")
    assert (len(manifest.scene_groups), manifest.scene_categories) == (16, 365)
    assert manifest.scene_groups[6] == "water, ice, snow"
    assert manifest.source == {"seed": 1}
    assert manifest.libraries["numpy"] == np.__version__


SCRIPT = """
import sys
sys.path.insert(0, "tests/dataset")
from pathlib import Path
from test_writer import write
from geosurge_jax.dataset.reader import open_dataset
split = open_dataset(write(Path(sys.argv[1]))).split("train")
split.records[0]
assert "tensorflow" not in sys.modules
"""


def test_two_processes_write_the_same_bytes_without_tensorflow(tmp_path):
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / seed)],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert "writing photos train" in done.stderr
        assert done.stdout == ""
    one, two = (files_of(tmp_path / seed / "photos" / "1.2.3") for seed in ("1", "2"))
    assert one == two
    assert "photos-train.array_record-00000-of-00001" in one


def test_a_finished_dataset_of_the_same_source_is_kept(tmp_path):
    path = write(tmp_path)
    before = files_of(path)

    def never():
        raise AssertionError("built again")

    assert write(tmp_path, splits={"train": never}) == path
    assert finished_dataset(tmp_path, "photos", "1.2.3", {"seed": 1}) == path
    assert finished_dataset(tmp_path, "photos", "1.2.4", {"seed": 1}) is None
    assert files_of(path) == before


def test_a_dataset_of_another_source_is_refused(tmp_path):
    path = write(tmp_path)
    before = files_of(path)
    with pytest.raises(ValueError, match="manifest.json.*another source .seed: 1, now 2"):
        write(tmp_path, source=2)
    assert files_of(path) == before


def test_a_failure_leaves_nothing_behind(tmp_path):
    def broken():
        yield photos(1)[0]
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        write(tmp_path, splits={"train": lambda: photos(3), "test": broken})
    assert left_over(tmp_path) == []
    assert open_dataset(write(tmp_path)).split("test").records[2]["scene"][0] == -1


KILLED = """
import os, signal, sys
sys.path.insert(0, "tests/dataset")
from pathlib import Path
from test_writer import photos, write
def records():
    yield from photos(3)
    os.kill(os.getpid(), signal.SIGKILL)
write(Path(sys.argv[1]), splits={"train": lambda: photos(9)[:6], "test": records})
"""


def test_what_a_killed_run_leaves_is_hidden_and_cleared(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == -9
    rests = left_over(tmp_path / "killed")
    assert rests and all(".incomplete-1.2.3" in path.parts for path in rests)
    finished = write(tmp_path / "killed")
    assert set(left_over(tmp_path / "killed")) == set(finished.iterdir())
    assert files_of(finished) == files_of(write(tmp_path / "whole"))


def test_one_builds_while_another_waits(tmp_path):
    started, go, builds = threading.Event(), threading.Event(), []

    def records():
        builds.append(1)
        started.set()
        go.wait(timeout=30)
        yield from photos(9)

    first, second = (
        threading.Thread(target=write, args=(tmp_path,), kwargs={"splits": {"train": records}})
        for _ in range(2)
    )
    first.start()
    assert started.wait(timeout=30)
    second.start()
    second.join(timeout=0.5)
    assert second.is_alive()
    go.set()
    first.join(timeout=30)
    second.join(timeout=30)
    assert len(builds) == 1
    assert len(open_dataset(tmp_path / "photos" / "1.2.3", verify=True).split("train")) == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "id is empty"),
        ({"id": "k0"}, "not unique"),
        ({"latlng": (90.1, 0.0)}, "latitude 90.1"),
        ({"latlng": (float("nan"), 0.0)}, "latitude nan"),
        ({"latlng": (0.0, 180.0)}, "longitude 180.0"),
        ({"scene": (3, 0, 0)}, "scene 3 of 3, expected -1 to 2"),
        ({"scene": (0, 16, 0)}, "scene 16 of 16, expected -1 to 15"),
        ({"scene": (0, 0, -2)}, "scene -2 of 365, expected -1 to 364"),
        ({"scene": (0, 0)}, r"scene \(0, 0\), expected 3 indexes"),
        ({"image": b"GIF89a"}, "image starts with b'GIF8'"),
        ({"image": b""}, "expected JPEG, PNG or WebP"),
        ({"segmentation": b"\xff\xd8\xff"}, "expected PNG"),
    ],
)
def test_records_that_break_their_promises(tmp_path, change, message):
    bad = Record(**({"id": "bad", "image": photos(1)[0].image, "latlng": (0.0, 0.0)} | change))
    with pytest.raises(ValueError, match=f"of split 'train': {message}|{message}"):
        write(tmp_path, splits={"train": lambda: [photos(1)[0], bad]})
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "My Photos"}, "dataset name 'My Photos'"),
        ({"version": "1.0"}, "dataset version '1.0'"),
        ({"splits": {}}, "no splits"),
        ({"splits": {"train": lambda: []}}, "split 'train' of dataset 'photos': no records"),
    ],
)
def test_senseless_requests(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, **options)
    assert left_over(tmp_path) == []


def test_extra_files_lie_beside_the_manifest(tmp_path):
    path = write(tmp_path, extra_files=lambda: {"rejected.csv": b"row\n"})
    assert (path / "rejected.csv").read_bytes() == b"row\n"
    shutil.rmtree(path)
    with pytest.raises(FileNotFoundError):
        write(tmp_path, extra_files=lambda: {"no/such/folder.csv": b""})
    assert left_over(tmp_path) == []
