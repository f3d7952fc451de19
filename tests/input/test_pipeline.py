import io
import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.dataset.reader import Split, open_dataset
from geosurge_jax.input.bad_records import BadRecords, BadRecordsError
from geosurge_jax.input.geometry import Framing, random_resized_crop
from geosurge_jax.input.images import decode_image, resize_crop
from geosurge_jax.input.pipeline import Augmentation, train_batches

STRONG = Augmentation(
    crop_scale=(0.3, 1.0),
    flip=True,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    grayscale=0.2,
)
PLAIN = Augmentation(crop_scale=(0.3, 1.0))


def batches(split: Split, count: int, *, start: int = 0, augmentation=STRONG, **options):
    """`count` batches as a list; the iterator is closed."""
    options = {
        "batch_size": 4,
        "framing": Framing(16),
        "seed": 3,
        "targets": None,
        "bad_records": BadRecords(split.name, len(split), 1.0),
        "threads": 2,
        "prefetch": 2,
    } | options
    iterator = train_batches(split, augmentation=augmentation, **options)
    try:
        if start:
            iterator.set_state({"next_index": start})
        found = [next(iterator) for _ in range(count)]
        assert iterator.get_state() == {"next_index": start + count}
        return found
    finally:
        iterator.close()


def together(parts: list[tuple[list[int], list[dict]]]) -> list[dict]:
    """Global batches from those of each process, given with the rows that it makes."""
    batches = []
    for pieces in zip(*(made for _, made in parts), strict=True):
        size = sum(len(rows) for rows, _ in parts)
        batch = {key: np.empty((size, *v.shape[1:]), v.dtype) for key, v in pieces[0].items()}
        for (rows, _), piece in zip(parts, pieces, strict=True):
            for key in batch:
                batch[key][rows] = piece[key]
        batches.append(batch)
    return batches


def assert_same(a: list[dict], b: list[dict]) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            assert one[key].dtype == other[key].dtype
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def test_what_a_batch_holds(train_split):
    seen = []

    def targets(latlng):
        seen.append(latlng)
        return {"cells": np.stack([latlng[:, 0] // 1, latlng[:, 1] // 1], 1).astype(np.int32)}

    (batch,) = batches(train_split, 1, targets=targets)
    shapes = {key: (value.dtype.name, value.shape) for key, value in batch.items()}
    assert shapes == {
        "image": ("uint8", (4, 16, 16, 3)),
        "segmentation": ("uint8", (4, 16, 16)),
        "latlng": ("float32", (4, 2)),
        "index": ("int32", (4,)),
        "mask": ("float32", (4,)),
        "scene": ("int32", (4, 3)),
        "cells": ("int32", (4, 2)),
    }
    expected = train_split.latlng[batch["index"]]
    np.testing.assert_array_equal(batch["latlng"], expected.astype(np.float32))
    index = batch["index"]
    np.testing.assert_array_equal(batch["scene"].T, [index % 3 - 1, index % 16, 364 - index])
    np.testing.assert_array_equal(batch["cells"], np.floor(expected))
    assert (batch["mask"] == 1).all()
    assert all(latlng.dtype == np.float64 for latlng in seen)
    assert any(np.array_equal(latlng, expected) for latlng in seen)


def test_records_without_a_map_are_unknown_everywhere(train_split):
    for batch in batches(train_split, 4):
        without = batch["index"] % 2 == 0
        assert (batch["segmentation"][without] == 255).all()
        assert (batch["segmentation"][~without] < 100).all()


SHARES = {
    "four hosts": [[0], [1], [2], [3]],
    "two hosts": [[0, 1], [2, 3]],
    "devices in another order": [[0, 3], [1, 2]],
    "hosts of different size": [[2], [0, 1, 3]],
}


@pytest.mark.parametrize("shares", SHARES.values(), ids=SHARES)
def test_global_batches_are_the_same_bits_in_the_same_order_on_any_hosts(train_split, shares):
    whole = batches(train_split, 6)
    assert_same(whole, together([(rows, batches(train_split, 6, rows=rows)) for rows in shares]))
    resumed = [(rows, batches(train_split, 3, start=3, rows=rows)) for rows in shares]
    assert_same(whole[3:], together(resumed))


def test_the_place_in_the_run_decides_the_noise(train_split):
    """Record by record the crops differ from epoch to epoch, but not with the way a batch is shared."""
    (alone,) = batches(train_split, 1, start=7, rows=[2])
    whole = batches(train_split, 8)[7]
    np.testing.assert_array_equal(alone["image"][0], whole["image"][2])
    (long,) = batches(train_split, 1, start=1, batch_size=14)  # positions 14 to 27 of the run
    (short,) = batches(train_split, 1, start=5, batch_size=4)  # positions 20 to 23
    assert_same([short], [{key: value[6:10] for key, value in long.items()}])


def test_seed_and_position_are_the_key_of_philox(train_split):
    for number, batch in enumerate(batches(train_split, 3, augmentation=PLAIN, seed=2**32 - 1)):
        for row, index in enumerate(batch["index"]):
            key = np.array([2**32 - 1, number * 4 + row], np.uint64)
            pixels = decode_image(train_split.records[index]["image"])
            box = random_resized_crop(
                np.random.Generator(np.random.Philox(key=key)),
                *pixels.shape[:2],
                PLAIN.crop_scale,
                PLAIN.crop_ratio,
            )
            np.testing.assert_array_equal(batch["image"][row], resize_crop(pixels, box, (16, 16)))


def test_each_epoch_holds_each_record_once_in_another_order(train_split):
    found = batches(train_split, 8)
    epochs = [np.concatenate([b["index"] for b in found[i : i + 4]]) for i in (0, 4)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(16))
    assert list(epochs[0]) != list(epochs[1]) != list(range(16))
    images = [
        {int(i): b["image"][j] for b in found[k : k + 4] for j, i in enumerate(b["index"])}
        for k in (0, 4)
    ]
    assert all(not np.array_equal(images[0][i], images[1][i]) for i in range(16))


def test_another_seed_gives_other_batches(train_split):
    (one,), (same,), (other,) = (batches(train_split, 1, seed=seed) for seed in (3, 3, 4))
    assert_same([one], [same])
    assert not np.array_equal(one["index"], other["index"])


def test_threads_do_not_change_batches(train_split):
    assert_same(batches(train_split, 6), batches(train_split, 6, threads=4, prefetch=6))


@pytest.mark.parametrize("flip", [False, True])
def test_the_map_takes_the_crop_of_the_photo(train_split, flip):
    """In these photos red is the column, and the class is the column too."""
    augmentation = Augmentation(crop_scale=(0.3, 1.0), flip=flip)
    directions = set()
    for batch in batches(train_split, 8, augmentation=augmentation):
        for image, classes in zip(batch["image"], batch["segmentation"], strict=True):
            if (classes == 255).all():
                continue
            red = image[:, 1:-1, 0].astype(float) / 255
            np.testing.assert_allclose(red, classes[:, 1:-1] / 100, atol=0.03)
            directions.add(bool(red[0, 0] > red[0, -1]))
    assert directions == ({False, True} if flip else {False})


def test_no_noise_leaves_blue_at_zero(train_split):
    assert all((b["image"][..., 2] == 0).all() for b in batches(train_split, 4, augmentation=PLAIN))
    assert any((b["image"][..., 2] > 0).any() for b in batches(train_split, 4))


def test_damaged_records_keep_their_place(damaged_split, caplog):
    bad = BadRecords("train", 8, 0.25)
    with caplog.at_level(logging.WARNING):
        found = batches(damaged_split, 6, bad_records=bad, targets=lambda p: {"n": p[:, 0]})
    for batch in found:
        broken = np.isin(batch["index"], (3, 5))
        np.testing.assert_array_equal(batch["mask"], np.where(broken, 0, 1))
        assert (batch["image"][broken] == 0).all() and (batch["segmentation"][broken] == 255).all()
        assert (batch["latlng"][broken] == 0).all() and (batch["scene"][broken] == -1).all()
        assert (batch["n"][broken] == 0).all()
    assert sorted(np.concatenate([b["index"] for b in found[:2]])) == list(range(8))
    assert list(bad.found) == [3, 5]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2  # once each, in three epochs
    assert any(damaged_split.location(3) in text for text in messages)
    assert damaged_split.location(5) == bad.found[5][0]


def test_a_photo_whose_pixels_alone_are_damaged_shows_no_map(train_split):
    file = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(file, "JPEG")
    record = train_split.records[1] | {"image": file.getvalue()[:-40]}
    split = Split("one", [record], record["latlng"][None], train_split.shards[:1])  # pyright: ignore[reportArgumentType]
    bad = BadRecords("one", 1, 1.0)
    (batch,) = batches(split, 1, bad_records=bad, batch_size=1)
    assert list(bad.found) == [0] and batch["mask"] == [0]
    assert (batch["segmentation"] == 255).all() and (batch["image"] == 0).all()


def test_too_many_damaged_records_stop_the_run(damaged_split):
    bad = BadRecords("train", 8, 0.2)
    with pytest.raises(BadRecordsError, match="2 of 8 .*0.2 .config.data.max_bad_fraction.") as e:
        batches(damaged_split, 6, bad_records=bad)
    lines = str(e.value).splitlines()
    assert len(lines) == 3
    assert any(damaged_split.location(3) in line for line in lines)


def test_a_damaged_shard_costs_its_record_only(train_split, ramp_dataset, tmp_path):
    directory = Path(shutil.copytree(ramp_dataset, tmp_path / "copy"))
    victim = 9
    content = train_split.records[victim]["image"][100:160]
    for path in directory.glob("ramps-train.array_record-*"):
        shard = path.read_bytes()
        if content in shard:
            path.write_bytes(shard.replace(content, bytes(len(content))))
    split = open_dataset(directory).split("train")
    bad = BadRecords("train", 16, 0.1)
    found = batches(split, 4, bad_records=bad)
    assert list(bad.found) == [victim]
    for batch in found:
        np.testing.assert_array_equal(batch["mask"] == 0, batch["index"] == victim)


@pytest.mark.parametrize("latlng", [(np.nan, 0.0), (91.0, 0.0), (0.0, 180.0), (0.0, np.inf)])
def test_bad_coordinates_count_as_damage(train_split, latlng):
    record = train_split.records[0] | {"latlng": np.array(latlng)}
    split = Split("one", [record], np.array([latlng]), train_split.shards[:1])
    bad = BadRecords("one", 1, 1.0)
    (batch,) = batches(split, 1, bad_records=bad, batch_size=1)
    assert batch["mask"] == [0] and (batch["latlng"] == 0).all()
    assert "itude" in bad.found[0][1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch size 0, expected 1 or more"),
        ({"rows": []}, r"rows \[\], expected some of 0 to 3"),
        ({"rows": [0, 4]}, r"rows \[0, 4\], expected some of 0 to 3"),
        ({"rows": [-1, 1]}, r"rows \[-1, 1\]"),
    ],
)
def test_rows_outside_of_the_batch(train_split, options, message):
    with pytest.raises(ValueError, match=message):
        batches(train_split, 1, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"crop_scale": (0.5, 0.2)},
        {"crop_scale": (0.5, 1.2)},
        {"crop_ratio": (0.0, 1.0)},
        {"hue": 0.6},
        {"brightness": -0.1},
        {"grayscale": float("nan")},
    ],
)
def test_senseless_augmentations(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        Augmentation(**options)


def test_the_list_of_bad_records_is_cut_off():
    bad = BadRecords("train", 1000, 0.1)
    for index in range(150):
        bad.report(index, f"shard, {index}", "broken")
    with pytest.raises(BadRecordsError, match="and 50 more"):
        bad.check()


def test_no_more_batches_are_held_than_asked_for(train_split):
    made = []
    source = train_batches(
        train_split,
        batch_size=4,
        framing=Framing(8),
        augmentation=PLAIN,
        seed=3,
        targets=lambda latlng: made.append(len(latlng)) or {},
        bad_records=BadRecords("train", 16, 1.0),
        threads=4,
        prefetch=3,
    )
    next(source)
    before = -1
    while len(made) > before:  # until none has come for a while
        before = len(made)
        time.sleep(0.5)
    source.close()
    assert len(made) <= 1 + 3


def test_an_open_iterator_leaves_quietly(ramp_dataset):
    script = f"""
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.input.geometry import Framing
from geosurge_jax.input.pipeline import Augmentation, train_batches
split = open_dataset({str(ramp_dataset)!r}).split("train")
batches = train_batches(split, batch_size=4, framing=Framing(8), augmentation=Augmentation(),
                        seed=0, targets=None, bad_records=BadRecords("train", 16, 1.0))
next(batches)
import sys
assert "tensorflow" not in sys.modules
"""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_record_of_another_place_than_the_array_says_counts_as_damage(train_split):
    record = train_split.records[0]
    latitude, longitude = record["latlng"].tolist()
    split = Split("one", [record], np.array([[latitude, -longitude]]), train_split.shards[:1])  # pyright: ignore[reportArgumentType]
    bad = BadRecords("one", 1, 1.0)
    (batch,) = batches(split, 1, bad_records=bad, batch_size=1)
    assert batch["mask"] == [0]
    expected = f"coordinates {latitude}, {longitude}, expected {latitude}, {-longitude}"
    assert expected in bad.found[0][1]
