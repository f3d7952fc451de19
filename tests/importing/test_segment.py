import dataclasses
import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordReader
from PIL import Image

from geosurge_jax.dataset.ade20k import CLASSES
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.shards import NO_MAP, StoredRecord
from geosurge_jax.dataset.writer import write_dataset
from geosurge_jax.importing.segment import main, segment
from geosurge_jax.importing.segment_classes import class_table
from geosurge_jax.importing.segment_model import ModelMaps
from geosurge_jax.input.images import decode_class_map
from geosurge_jax.input.plain_png import write_plain_png
from geosurge_jax.interop.families.segformer import FAMILY, PUBLISHED
from geosurge_jax.interop.writing import write_model
from geosurge_jax.models.segformer import Segformer, SegformerConfig
from geosurge_jax.training.parameters import flatten, unflatten

ROOT = Path(__file__).resolve().parents[2]
# Landscape, portrait, square, small and long photos, and two that cannot be decoded.
SHAPES = (
    (40, 60),
    (60, 40),
    (50, 50),
    (10, 14),
    (30, 150),
    (40, 60),
    (60, 40),
    (41, 59),
    None,
    None,
)
SHORT_SIDE = 24


def halves(number: int, height: int, width: int) -> np.ndarray:
    """A photo of two flat halves, along its long side."""
    pixels = np.full((height, width, 3), (number, 0, 90), np.uint8)
    rows, columns = (height // 2, width) if height > width else (height, width // 2)
    pixels[:rows, :columns] = (255, 230, 255 - number)
    return pixels


def photo(number: int) -> bytes:
    shape = SHAPES[number]
    if shape is None:
        return b"\xff\xd8\xff is no photo"
    file = io.BytesIO()
    Image.fromarray(halves(number, *shape)).save(file, "PNG")
    return file.getvalue()


def identity(number: int) -> str:
    return ("deeper/photo_1.jpg", "deeper/photo_2.jpg")[number] if number < 2 else f"a_{number}"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    records = [
        Record(id=identity(n), image=photo(n), latlng=(n, n), segmentation=write_plain_png(MAP))
        for n in range(len(SHAPES))
    ]
    return write_dataset(
        tmp_path_factory.mktemp("old"),
        "photos",
        "1.0.0",
        {"train": lambda: records},
        CLASSES,
        {},
        "",
        "",
        shard_bytes=1000,
    )


MAP = np.full((2, 3), 7, np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A SegFormer whose weights are set by hand: what is bright is sky, what is dark is floor."""
    config = SegformerConfig("mu", CLASSES, dataclasses.replace(PUBLISHED, image_size=32))
    image = jnp.zeros((1, 32, 32, 3), jnp.uint8)
    shapes = jax.eval_shape(Segformer(config).init, jax.random.key(0), image)["params"]
    flat = {path: np.zeros(leaf.shape, np.float32) for path, leaf in flatten(shapes).items()}
    flat["stage_0/patch_embedding/kernel"][..., 0] = 1
    for path in ("stage_0/patch_norm/scale", "stage_0/norm/scale", "decoder/norm/scale"):
        flat[path][0] = 1
    flat["decoder/norm/variance"][:] = 1
    flat["decoder/project_0/kernel"][0, 0] = 1
    flat["decoder/fuse"][-config.shape.decoder, 0] = 1  # the finest map is the last
    flat["decoder/classifier/kernel"][0, CLASSES.index("sky")] = 1
    flat["decoder/classifier/bias"][CLASSES.index("floor")] = 0.5
    directory = tmp_path_factory.mktemp("model")
    write_model(directory, FAMILY, config, unflatten(flat))
    return directory


@pytest.fixture(scope="module")
def segmented(dataset, model, tmp_path_factory):
    out = tmp_path_factory.mktemp("new")
    with pytest.MonkeyPatch.context() as patch:
        # One device compiles in a third of the time; tests/interop/test_segmenter.py has eight.
        patch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
        result = segment(
            dataset, out, model=str(model), short_side=SHORT_SIDE, batch_size=3, threads=2
        )
    return result, open_dataset(result.directory, verify=True)


def maps_of(found) -> dict[str, bytes]:
    return {record["id"]: record["segmentation"] for record in found.split("train").records}


def test_maps_lie_on_their_photos(segmented):
    result, found = segmented
    assert (result.counts.made, result.counts.without) == (8, {"unreadable image": 2})
    assert found.manifest.segmentation_classes == CLASSES
    maps = maps_of(found)
    sizes = [(24, 36), (36, 24), (24, 24), (10, 14), (24, 120), (24, 36), (36, 24), (24, 35)]
    for number, shape in enumerate(SHAPES):
        stored = maps[identity(number)]
        if shape is None:
            assert stored == NO_MAP
            continue
        classes = decode_class_map(stored)
        assert classes.shape == sizes[number], number
        along = classes if shape[0] > shape[1] else classes.T
        # The border lies in the middle, up to what a patch of 7 of 32 pixels sees of the other half.
        middle, near = len(along) // 2, len(along) // 5
        assert (along[: middle - near] == CLASSES.index("sky")).all(), number
        assert (along[middle + near :] == CLASSES.index("floor")).all(), number


class FakeSegmenter:
    """Every photo is of the class of its first pixel; notes how many it was given at a time."""

    identity = {"fake": 1}
    class_names = [f"thing {number}" for number in range(300)]

    def __init__(self):
        self.given = []

    def prepare(self, pixels):
        return pixels[0, 0]

    def maps(self, photos, sizes):
        self.given.append(len(photos))
        return [
            np.full(size, int(one[0]) + 40, np.int64)
            for one, size in zip(photos, sizes, strict=True)
        ]


def test_batches_keep_their_order_and_take_the_table(dataset):
    table = np.full(300, 255, np.uint8)
    table[295] = 5  # bright photos begin with 255
    segmenter = FakeSegmenter()
    records = [StoredRecord(content) for content in contents(dataset)]
    found = list(ModelMaps(segmenter, table, 3, SHORT_SIDE, 2)(iter(records)))
    assert segmenter.given == [3, 3, 2]  # the last four are two photos and two that are none
    for number, new in enumerate(found):
        if SHAPES[number] is None:
            assert new.content is None and new.problem.startswith("unreadable image: ")
        else:
            assert (decode_class_map(new.content) == 5).all()
    assert len(found) == len(SHAPES)
    dark = list(ModelMaps(segmenter, table[::-1].copy(), 3, SHORT_SIDE, 2)(iter(records[:1])))
    assert (decode_class_map(dark[0].content) == 255).all()


def contents(directory) -> list[bytes]:
    found = []
    for path in sorted(directory.glob("*.array_record-*")):
        reader = ArrayRecordReader(str(path))
        found += reader.read_all()
        reader.close()
    return found


def test_a_model_of_other_classes_needs_a_table(dataset, model, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for path in model.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config = json.loads((model / "config.json").read_text())
    config["id2label"] = {str(number): f"thing {number}" for number in range(150)}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="class 0 is 'thing 0' and not 'wall'.*--class-table"):
        segment(dataset, tmp_path, model=str(other), batch_size=8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ours,theirs\n1,2\n", "columns .'ours', 'theirs'., expected .'theirs', 'ours'."),
        ("theirs,ours\n3,1\n", "line 2: their class 3, expected 0 to 2"),
        ("theirs,ours\nsnow,sky\n", "line 2: their class 'snow', expected an id or a name"),
        ("theirs,ours\n0,sky\nroad,sky\n", "line 3: their class 'road' is named twice"),
        ("theirs,ours\n0,150\n", "line 2: our class 150, expected 0 to 149 or 255"),
        ("theirs,ours\n0,snow\n", "line 2: ADE20K class 'snow'"),
    ],
)
def test_tables_that_make_no_sense(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        class_table(("road", "Sky ", "rock"), path, "")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_tables_take_names_and_ids(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('theirs,ours\nsky,2\n0,"road, route"\n3,unknown\n')
    found = class_table(("road", "Sky ", "rock", "noise"), path, "")
    assert found.tolist() == [6, 2, 255, 255]


# What Mask2Former's and OneFormer's files call the classes, and what mmsegmentation does.
def test_ade20k_is_known_by_its_other_names():
    other = {8: "window ", 37: "tub", 38: "rail", 87: "street lamp", 89: "tv", 90: "plane"}
    other |= {92: "clothes", 109: "pool", 113: "falls", 138: "trash can", 6: "road, route"}
    other |= {141: "CRT screen", 0: "Wall"}
    names = [other.get(number, name) for number, name in enumerate(CLASSES)]
    np.testing.assert_array_equal(class_table(names, None, "M"), np.arange(150))
    names[1], names[2] = names[2], names[1]
    with pytest.raises(ValueError, match="M: 150 classes, the class 1 is 'sky' and not 'building'"):
        class_table(names, None, "M")
    with pytest.raises(ValueError, match="M: 2 classes, expected the 150 classes of ADE20K"):
        class_table(("wall", "building"), None, "M")


def png(path: Path, value: int, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (5, 4), value).save(path)


def test_maps_made_elsewhere_are_found_by_their_ids(dataset, tmp_path):
    folder = tmp_path / "maps"
    png(folder / "deeper" / "photo_1.jpg.png", 0)  # the whole id
    png(folder / "deeper" / "photo_2.png", 10)  # without the photo's suffix
    png(folder / "x" / "2.png", 20)  # the last part of the id
    png(folder / "y" / "3.png", 30)  # the same part twice
    png(folder / "z" / "3.png", 31)
    png(folder / "a_4.png", 255)
    png(folder / ".hidden" / "a_5.png", 50)
    result = segment(dataset, tmp_path / "out", maps=folder)
    found = open_dataset(result.directory, verify=True)
    maps = maps_of(found)
    values = {name: set(decode_class_map(stored).flat) for name, stored in maps.items()}
    expected = {identity(0): 0, identity(1): 10, "a_2": 20, "a_4": 255}
    for name, value in values.items():
        assert value == {expected.get(name, 255)}
        assert (maps[name] == NO_MAP) == (name not in expected)
    assert result.counts.without == {"no map file": 6}
    assert segment(dataset, tmp_path / "out", maps=folder).counts.made == 0  # already there
    size = (folder / "a_4.png").stat().st_size
    png(folder / "a_4.png", 254 - 110)
    assert (folder / "a_4.png").stat().st_size == size
    with pytest.raises(ValueError, match="another source"):
        segment(dataset, tmp_path / "out", maps=folder)


def test_maps_made_elsewhere_have_a_table_too(dataset, tmp_path):
    png(tmp_path / "maps" / "a_2.png", 200)
    png(tmp_path / "maps" / "a_3.png", 255)
    png(tmp_path / "maps" / "a_4.png", 3)
    table = tmp_path / "table.csv"
    table.write_text("theirs,ours\n200,sky\n")
    result = segment(dataset, tmp_path, maps=tmp_path / "maps", class_table_file=table)
    maps = maps_of(open_dataset(result.directory))
    found = [decode_class_map(maps[f"a_{number}"])[0, 0] for number in (2, 3, 4)]
    assert found == [2, 255, 255]
    table.write_text("theirs,ours\nroad,sky\n")
    with pytest.raises(ValueError, match="line 2: their class 'road', expected an id"):
        segment(dataset, tmp_path, maps=tmp_path / "maps", class_table_file=table, name="other")


def test_bad_files_are_named(dataset, tmp_path):
    for name, value, mode, message in (
        ("class", 150, "L", "class 150, expected 0 to 149 or 255"),
        ("depth", 0, "I;16", "bit depth 10 .* expected one 8-bit channel"),
        ("colour", 0, "RGB", "colour type 02, expected one 8-bit channel"),
    ):
        path = tmp_path / name / "a_2.png"
        png(path, value, mode)
        with pytest.raises(ValueError, match=f"{name}/a_2.png: .*{message}") as caught:
            segment(dataset, tmp_path / name / "out", maps=path.parent)
        assert "\n" not in str(caught.value)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a_2.png").write_text("text")
    with pytest.raises(ValueError, match="a_2.png: class map starts with b'text', expected PNG"):
        segment(dataset, tmp_path / "out2", maps=tmp_path / "text")


def test_one_file_for_two_records_is_refused(dataset, tmp_path):
    png(tmp_path / "maps" / "photo_1.png", 1)
    png(tmp_path / "maps" / "1.png", 1)
    records = [
        Record(id=name, image=photo(0), latlng=(0, 0)) for name in ("a/photo_1.jpg", "b_photo_1")
    ]
    twice = write_dataset(
        tmp_path, "twice", "1.0.0", {"train": lambda: records}, CLASSES, {}, "", ""
    )
    with pytest.raises(ValueError, match="photo_1.png: belongs to record 'a/photo_1.jpg' and to"):
        segment(twice, tmp_path, maps=tmp_path / "maps")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected either a model or a folder of maps"),
        ({"model": "M", "maps": "F"}, "expected either a model or a folder of maps"),
        ({"maps": "nowhere"}, "nowhere: no such folder"),
        ({"maps": "."}, "no PNG files"),
        ({"model": "nowhere", "batch_size": 8}, "--model='nowhere': no such directory"),
        ({"model": "nowhere", "batch_size": 9}, "9 photos a batch, expected a multiple of the 8"),
        ({"model": "nowhere", "short_side": 0}, "--short-side=0: expected 1 or more"),
        ({"model": "nowhere", "library": "other"}, "--library='other': expected one of native"),
        ({"model": "nowhere", "library": "transformers"}, r'pip install "geosurge_jax\[segment\]"'),
        ({"maps": "nowhere", "class_table_file": "t.csv"}, "t.csv: no such file"),
    ],
)
def test_senseless_options(dataset, tmp_path, monkeypatch, options, message):
    # As on a machine without the library, also where it is installed.
    monkeypatch.setitem(sys.modules, "transformers", None)
    if options.get("maps") == ".":
        options = {"maps": tmp_path}
    with pytest.raises(ValueError, match=message) as caught:
        segment(dataset, tmp_path / "out", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_command_line(dataset, tmp_path, caplog):
    png(tmp_path / "maps" / "a_2.png", 1)
    command = [sys.executable, "-m", "data.segment", "--dataset", str(dataset), "--process", "0"]
    command += ["--out", str(tmp_path), "--maps", str(tmp_path / "maps"), "--processes", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "this process is done, others have shards to write" in done.stderr
    caplog.set_level(logging.INFO)
    main([*command[3:], "--process", "1"])
    assert "10 records, 1 maps of" in caplog.text
    assert "9 records without a map: no map file" in caplog.text
    assert len(maps_of(open_dataset(tmp_path / "photos_maps" / "1.0.0"))) == 10
    png(tmp_path / "others" / "elsewhere.png", 1)
    with pytest.raises(SystemExit, match="nothing was written.*10 records: no map file") as ended:
        main(
            [*command[3:-2], "--maps", str(tmp_path / "others"), "--name", "none", "--process", "0"]
        )
    assert ended.value.code == 1 and not [*(tmp_path / "none").glob("*")]
    with pytest.raises(SystemExit, match="error: .*no such folder"):
        main(["--dataset", str(dataset), "--out", str(tmp_path), "--maps", "nowhere"])
