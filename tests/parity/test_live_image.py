"""Image processors as transformers has them today, and one photo at the size of the paper's tower."""

import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.input.examples import DecodedRecord, evaluation_views
from geosurge_jax.interop.families.image_processor import read_preprocessing
from tests.parity import oracles_image
from tests.parity.oracle import thaw

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # transformers and torch warn of themselves
]


def test_frozen_photos_are_what_the_processors_make():
    (live,) = oracles_image.oracles()
    frozen = thaw(live.name)
    assert set(frozen.expected) == set(live.expected)
    for path, expected in live.expected.items():
        np.testing.assert_array_equal(frozen.expected[path], expected, err_msg=path)


def scene(height, width):
    """Sky, hills with texture, a dark road with a bright line, and the noise of a sensor."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    hills = 0.45 + 0.08 * np.sin(9 * columns) + 0.03 * np.sin(47 * columns)
    texture = 0.1 * np.sin(400 * rows * columns) * np.cos(300 * columns)
    light = np.where(rows < hills, 0.9 - 0.4 * rows, 0.4 + texture)
    aside = np.abs(columns - 0.5)
    light = np.where((rows > hills) & (aside < rows - 0.5), 0.2, light)
    light = np.where((rows > hills) & (aside < 0.04 * (rows - 0.4)), 0.95, light)
    tint = np.stack([light, 0.9 * light + 0.05, np.where(rows < hills, 1.0, 0.7 * light)], -1)
    noise = np.random.default_rng(0).normal(0, 0.02, (height, width, 3))
    return np.round(255 * np.clip(tint + noise, 0, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "entries"),
    [
        ("CLIPImageProcessor", {"size": {"shortest_edge": 336}, "crop_size": 336}),
        ("BitImageProcessor", {"size": {"shortest_edge": 256}, "crop_size": 224}),
        ("SiglipImageProcessor", {"size": {"height": 384, "width": 384}}),
        ("ViTImageProcessor", {"size": {"height": 224, "width": 224}}),
    ],
)
def test_a_photo_of_1024_by_683_pixels_is_the_same_in_every_level(kind, entries):
    import transformers

    theirs, photo = getattr(transformers, kind)(**entries), scene(683, 1024)
    preprocessing = read_preprocessing(entries, kind)
    record = DecodedRecord(photo, np.full((1, 1), 255, np.uint8), (0.0, 0.0), -1)
    square = evaluation_views(record, 1, preprocessing.framing)[0][0]
    np.testing.assert_array_equal(square, oracles_image.squares(theirs, photo))
    pixels = np.asarray(theirs([photo], return_tensors="np")["pixel_values"][0], np.float32)
    ours = preprocessing.normalize(jnp.asarray(square)[None], jnp.dtype(jnp.float32))[0]
    np.testing.assert_allclose(ours, pixels.transpose(1, 2, 0), rtol=1e-6, atol=1e-6)
