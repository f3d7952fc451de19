"""Training's quick crops beside the exact ones: the same boxes, pixels within a stated bound."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geosurge_jax.dataset.reader import Split
from geosurge_jax.input import resampling
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.geometry import Box, Framing
from geosurge_jax.input.images import Photo, open_photo
from geosurge_jax.input.pipeline import Augmentation, train_batches
from geosurge_jax.input.plain_png import write_plain_png
from geosurge_jax.input.resampling import photo_crop, reduction_for

pytest.importorskip(
    "cykooz_resizer", reason="cykooz-resizer has no wheel for Linux on ARM; goes once it has"
)


def natural(height: int, width: int, seed: int) -> np.ndarray:
    """A photo's statistics: amplitudes that fall with frequency, as natural scenes' do (Field 1987)."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    phases = np.exp(2j * np.pi * rng.random((3, *frequency.shape)))
    light = np.fft.irfft2(phases / frequency, s=(height, width))
    pixels = 128 + 40 * light / light.std()
    return np.moveaxis(pixels, 0, -1).clip(0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **{"quality": 90, **options})
    return file.getvalue()


def by_pillow(content: bytes, box: Box, size: int, interpolation: str) -> np.ndarray:
    """The oracle: the whole photo by Pillow, and its antialiased filter over the box."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    edges = (
        box.left * image.width,
        box.top * image.height,
        box.right * image.width,
        box.bottom * image.height,
    )
    filtered = Image.Resampling[interpolation.upper()]
    return np.asarray(image.resize((size, size), filtered, box=edges)).astype(int)


PHOTO = jpeg(natural(375, 500, 0))
LARGE = jpeg(natural(900, 1200, 1))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@settings(max_examples=12, deadline=None)
@given(
    left=st.floats(0, 0.6),
    top=st.floats(0, 0.6),
    side=st.floats(0.1, 0.4),
    size=st.sampled_from([224, 96]),
)
def test_not_reduced_it_is_pillows_crop_but_for_rounding(interpolation, left, top, side, size):
    box = Box(left, top, left + side, top + side)
    photo = open_photo(PHOTO)
    if reduction_for(photo, box, size) > 1:
        return
    fast = photo_crop(photo, box, size, interpolation, "fast").astype(int)
    difference = fast - by_pillow(PHOTO, box, size, interpolation)
    assert np.abs(difference).mean() <= 0.3
    assert abs(difference.mean()) <= 0.02
    assert (
        np.abs(difference) > 1
    ).mean() <= 1e-3  # where a first pass was cut off at black or white


@pytest.mark.parametrize(("size", "reduction"), [(224, 2), (112, 4), (60, 8)])
def test_reduced_it_is_near_the_antialiased_crop(size, reduction):
    """libjpeg leaves out the high frequencies of a block where bicubic weighs them down."""
    box, photo = Box(0.13, 0.17, 0.93, 0.92), open_photo(LARGE)
    assert reduction_for(photo, box, size) == reduction
    fast = photo_crop(photo, box, size, "bicubic", "fast").astype(int)
    exact = by_pillow(LARGE, box, size, "bicubic")
    difference = fast - exact
    assert np.sqrt((difference**2).mean()) < 0.08 * exact.std()
    assert abs(difference.mean()) < 0.1


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    edges=st.tuples(*[st.floats(0, 1)] * 4),
    size=st.integers(1, 500),
)
def test_no_crop_is_ever_enlarged_for_speed(shape, edges, size):
    left, right = sorted(edges[:2])
    top, bottom = sorted(edges[2:])
    photo = Photo(*shape, (1, 2, 4, 8), lambda by: np.zeros(0))
    reduction = reduction_for(photo, Box(left, top, right, bottom), size)
    least = min((right - left) * shape[1], (bottom - top) * shape[0])
    assert reduction == 1 or least / reduction >= size
    assert reduction == 8 or least / (2 * reduction) < size


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("shape", [(375, 500), (33, 41), (8, 9)])
def test_a_reduced_pixel_is_the_mean_of_those_it_covers(shape, reduction):
    """Within blocks of a smooth photo; the last row and column may reach over the edge."""
    rows, columns = np.indices(shape)
    pixels = np.stack([rows * 200 / shape[0], columns * 200 / shape[1], 0 * rows], -1).astype(
        np.uint8
    )
    photo = open_photo(jpeg(pixels, quality=100, subsampling=0))
    assert (photo.height, photo.width) == shape
    reduced = photo.pixels(reduction).astype(float)
    assert reduced.shape[:2] == (-(-shape[0] // reduction), -(-shape[1] // reduction))
    whole = [side // reduction for side in shape]
    part = pixels[: whole[0] * reduction, : whole[1] * reduction].astype(float)
    means = part.reshape(whole[0], reduction, whole[1], reduction, 3).mean((1, 3))
    steepest = 200 * reduction / min(shape)
    assert (
        np.abs(reduced[: whole[0], : whole[1]] - means).max() <= 4 + 0.05 * steepest
    )  # JPEG itself: 4


def test_photos_that_are_no_upright_jpeg_are_never_reduced():
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(natural(60, 80, 2)).save(file, "PNG")
    turned = open_photo(jpeg(natural(60, 80, 2), exif=exif))
    assert (turned.height, turned.width) == (80, 60)
    assert turned.reductions == open_photo(file.getvalue()).reductions == (1,)


def test_jpeg_that_libjpeg_has_complaints_about_is_reduced_too():
    content = jpeg(natural(75, 101, 3))
    damaged = content.replace(b"\xff\xd9", b"\x00\x00\xff\xd9")  # stray bytes before the end
    reduced = open_photo(damaged).pixels(2).astype(int)
    assert reduced.shape == (38, 51, 3)
    assert np.abs(reduced - open_photo(content).pixels(2)).mean() < 3


def test_every_instruction_set_gives_the_same_bits(monkeypatch):
    photo, box = open_photo(PHOTO), Box(0.1, 0.05, 0.77, 0.93)
    usual = photo_crop(photo, box, 224, "bicubic", "fast")
    module = resampling.cykooz_resizer
    plain_resizer = module.Resizer

    def plain():
        resizer = plain_resizer()
        resizer.cpu_extensions = module.CpuExtensions.none
        return resizer

    monkeypatch.setattr(module, "Resizer", plain)
    np.testing.assert_array_equal(photo_crop(photo, box, 224, "bicubic", "fast"), usual)


def test_batches_differ_in_pixels_only():
    classes = write_plain_png(np.arange(200, dtype=np.uint8).reshape(10, 20))
    records = [
        {"image": content, "segmentation": classes, "latlng": (i, i), "scene": (-1, -1, -1)}
        for i, content in enumerate((PHOTO, LARGE))
    ]
    split = Split("two", records, np.array([record["latlng"] for record in records]), ())  # pyright: ignore[reportArgumentType]
    found = {}
    for way in resampling.RESAMPLINGS:
        batches = train_batches(
            split,
            batch_size=4,
            framing=Framing(160),
            augmentation=Augmentation((0.3, 1.0), flip=True, hue=0.1, resampling=way),
            seed=1,
            targets=None,
            bad_records=BadRecords("two", 2, 0.0),
        )
        found[way] = next(batches)
        batches.close()
    difference = found["fast"].pop("image").astype(int) - found["exact"].pop("image")
    assert 0 < np.abs(difference).mean() < 5
    for key, value in found["exact"].items():
        np.testing.assert_array_equal(found["fast"][key], value, err_msg=key)


def test_what_there_is_not_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="resampling='quick': expected one of exact, fast"):
        Augmentation(resampling="quick")
    monkeypatch.setattr(resampling, "cykooz_resizer", None)
    with pytest.raises(ValueError, match="needs the package cykooz-resizer"):
        Augmentation(resampling="fast")
    assert Augmentation(resampling="exact").resampling == "exact"
