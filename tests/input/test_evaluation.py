import dataclasses

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.input.bad_records import BadRecords, BadRecordsError
from geosurge_jax.input.evaluation import Views, evaluation_batches
from geosurge_jax.input.geometry import Framing
from geosurge_jax.input.images import decode_image

VIEWS = Views(batch_size=6, framing=Framing(12, resize_ratio=1.25), crops=1, threads=2)


def run(split, targets=None, bad_records=None, **changes):
    bad_records = bad_records or BadRecords(split.name, len(split), 1.0)
    views = dataclasses.replace(VIEWS, **changes)
    return evaluation_batches(split, views, targets=targets, bad_records=bad_records)


def test_each_photo_once_in_order_and_padding_at_the_end(train_split):
    batches = run(train_split, targets=lambda latlng: {"latitude": latlng[:, 0]})
    found = list(batches)
    assert len(batches) == len(found) == 3
    index = np.concatenate([batch["index"] for batch in found])
    np.testing.assert_array_equal(index, [*range(16), -1, -1])
    np.testing.assert_array_equal(np.concatenate([b["mask"] for b in found]), index >= 0)
    latitude = np.concatenate([b["latitude"] for b in found])[:16]
    np.testing.assert_array_equal(latitude, train_split.latlng[:, 0])
    assert found[0]["image"].shape == (6, 1, 12, 12, 3)
    assert found[0]["segmentation"].shape == (6, 1, 12, 12)
    assert found[0]["latlng"].dtype == np.float32
    again = list(batches)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])


def test_processes_make_equally_many_batches_with_the_rows_they_are_asked_for(train_split):
    whole = list(run(train_split, batch_size=12))
    for rows in ([0, 1, 2], [3, 4, 5], [7, 10, 11]):
        part = list(run(train_split, batch_size=12, rows=rows))
        assert len(part) == 2
        for number, batch in enumerate(whole):
            for key in ("index", "image", "mask"):
                np.testing.assert_array_equal(part[number][key], batch[key][rows])


@pytest.mark.parametrize("crops", [5, 10])
def test_crops_are_those_of_resizing_first(train_split, crops):
    """Resize the short side to 15 by Pillow, cut 12 x 12."""
    batch = next(iter(run(train_split, crops=crops)))
    assert batch["image"].shape == (6, crops, 12, 12, 3)
    photo = Image.fromarray(decode_image(train_split.records[1]["image"]))
    width = photo.width * 15 // photo.height
    small = photo.resize((width, 15), Image.Resampling.BICUBIC)
    corners = [(0, 0), (width - 12, 0), (0, 3), (width - 12, 3), ((width - 12) // 2, 1)]
    for crop, (left, top) in enumerate(corners):
        cut = small.crop((left, top, left + 12, top + 12))
        np.testing.assert_array_equal(batch["image"][1, crop], np.asarray(cut))
    if crops == 10:
        np.testing.assert_array_equal(batch["image"][:, 5:], batch["image"][:, :5, :, ::-1])
        np.testing.assert_array_equal(
            batch["segmentation"][:, 5:], batch["segmentation"][:, :5, :, ::-1]
        )


def test_damaged_records_keep_their_place(damaged_split):
    bad = BadRecords("train", 8, 0.3)
    found = list(run(damaged_split, batch_size=4, bad_records=bad))
    index = np.concatenate([batch["index"] for batch in found])
    np.testing.assert_array_equal(index, range(8))
    mask = np.concatenate([batch["mask"] for batch in found])
    np.testing.assert_array_equal(np.flatnonzero(mask == 0), [3, 5])
    with pytest.raises(BadRecordsError, match="max_bad_fraction"):
        list(run(damaged_split, bad_records=BadRecords("train", 8, 0.1)))


def test_a_run_may_be_left_early(train_split):
    for batch in run(train_split):
        assert batch["index"][0] == 0
        break


def test_unknown_protocols_are_refused_at_once(train_split):
    with pytest.raises(ValueError, match="3 crops"):
        run(train_split, crops=3)
    with pytest.raises(ValueError, match=r"rows \[6\], expected some of 0 to 5"):
        run(train_split, rows=[6])
