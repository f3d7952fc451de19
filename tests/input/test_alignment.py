"""Photo and class map under every output pixel show the same place, whatever was done to both."""

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from geosurge_jax.dataset.reader import Split
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.evaluation import Views, evaluation_batches
from geosurge_jax.input.geometry import Framing
from geosurge_jax.input.pipeline import Augmentation, train_batches
from geosurge_jax.input.plain_png import write_plain_png

# What brings an upright picture to how a camera of each EXIF orientation stores it.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def positions(count: int) -> np.ndarray:
    """Where the centres of pixels lie, as shares of the side."""
    return (np.arange(count) + 0.5) / count


def ramp_photo(shape: tuple[int, int], code: int, form: str) -> bytes:
    """Red tells the column, green the row, both as shares of 255."""
    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[..., 0] = np.round(255 * positions(shape[1]))
    pixels[..., 1] = np.round(255 * positions(shape[0]))[:, None]
    image, exif, file = Image.fromarray(pixels), Image.Exif(), io.BytesIO()
    exif[0x0112] = code
    if code in STORED:
        image = image.transpose(STORED[code])
    options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    image.save(file, form, **options, **({"exif": exif} if code > 1 else {}))
    return file.getvalue()


def ramp_map(shape: tuple[int, int], across: bool) -> bytes:
    """The class tells the column or the row, as a share of 250."""
    columns, rows = np.meshgrid(positions(shape[1]), positions(shape[0]))
    return write_plain_png(np.round(250 * (columns if across else rows)).astype(np.uint8))


def split_of(photo: bytes, classes: bytes) -> Split:
    record = {"image": photo, "segmentation": classes, "latlng": (0.0, 0.0), "scene": (-1, -1, -1)}
    return Split("one", [record], np.zeros((1, 2)), ())  # pyright: ignore[reportArgumentType]


def check(image: np.ndarray, classes: np.ndarray, channel: int, map_side: int, lossy: bool):
    """The ramp and the class agree to half a pixel of the map, beside rounding and JPEG's error.

    A ramp passes any symmetric filter unchanged, but for two pixels beside the photo's edges, where the
    filter sees only one side.
    """
    inner = slice(2, -2)
    photo = image[..., inner, inner, channel] / 255
    seen = classes[..., inner, inner] / 250
    rounding = 0.5 / 255 + 0.5 / 250 + 2 / 255 + (2 / 255 if lossy else 0)
    assert np.abs(photo - seen).max(initial=0) <= 0.5 / map_side + rounding


shapes = st.tuples(st.integers(24, 160), st.integers(24, 160))
common = {
    "shape": shapes,
    "map_shape": st.tuples(st.integers(1, 200), st.integers(1, 200)),
    "size": st.integers(5, 48),
    "code": st.integers(1, 8),
    "form": st.sampled_from(["JPEG", "JPEG", "PNG"]),
    "across": st.booleans(),
}


@pytest.mark.parametrize("resampling", ["exact", "fast"])
@settings(max_examples=60, deadline=None)
@given(**common, seed=st.integers(0, 2**31), flip=st.booleans(), least=st.floats(0.08, 1))
@example(
    (49, 33), (200, 200), 5, 1, "JPEG", True, 0, False, 0.9
)  # reduced to half and an odd pixel
@example((33, 49), (200, 200), 5, 1, "JPEG", False, 0, True, 0.9)
@example((121, 121), (200, 200), 6, 1, "JPEG", True, 3, True, 0.9)  # to an eighth
def test_training_crops(resampling, shape, map_shape, size, code, form, across, seed, flip, least):
    split = split_of(ramp_photo(shape, code, form), ramp_map(map_shape, across))
    batches = train_batches(
        split,
        batch_size=4,
        framing=Framing(size),
        augmentation=Augmentation((least, 1.0), flip=flip, resampling=resampling),
        seed=seed,
        targets=None,
        bad_records=BadRecords("one", 1, 0.0),
        threads=1,
        prefetch=1,
    )
    try:
        batch = next(batches)
    finally:
        batches.close()
    assert batch["mask"].all()
    check(
        batch["image"],
        batch["segmentation"],
        0 if across else 1,
        map_shape[1] if across else map_shape[0],
        form == "JPEG",
    )


@settings(max_examples=60, deadline=None)
@given(
    **common,
    resize=st.sampled_from(["short", "stretch"]),
    ratio=st.floats(1, 1.5),
    crops=st.sampled_from([1, 5, 10]),
)
def test_evaluation_crops(shape, map_shape, size, code, form, across, resize, ratio, crops):
    split = split_of(ramp_photo(shape, code, form), ramp_map(map_shape, across))
    views = Views(1, Framing(size, resize, ratio), crops, threads=1)
    bad = BadRecords("one", 1, 0.0)
    (batch,) = evaluation_batches(split, views, targets=None, bad_records=bad)
    assert batch["image"].shape == (1, crops, size, size, 3)
    check(
        batch["image"],
        batch["segmentation"],
        0 if across else 1,
        map_shape[1] if across else map_shape[0],
        form == "JPEG",
    )
