"""Photos on their way to a tower, against frozen outputs of transformers' image processors."""

import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.input.examples import DecodedRecord, evaluation_views
from geosurge_jax.interop.families.image_processor import read_preprocessing
from tests.parity.oracle import thaw

NAMES = ("clip", "clip_small", "dinov2", "siglip", "vit", "convnext", "efficientnet")


@pytest.fixture(scope="module")
def oracle():
    return thaw("image_processors")


def preprocessing(oracle, name):
    return read_preprocessing(oracle.config["processors"][name], "")


def square(pixels, preprocessing):
    class_map = np.full((1, 1), 255, np.uint8)
    record = DecodedRecord(pixels, class_map, (0.0, 0.0), -1)
    return evaluation_views(record, 1, preprocessing.framing)[0][0]


@pytest.mark.parametrize("name", NAMES)
def test_squares_are_those_of_the_processor_in_every_level(oracle, name):
    photos = [photo for photo in oracle.inputs if photo != "levels"]
    assert len(photos) == 6
    for photo in photos:
        ours = square(oracle.inputs[photo], preprocessing(oracle, name))
        np.testing.assert_array_equal(ours, oracle.expected[f"{name}/{photo}"], err_msg=photo)


@pytest.mark.parametrize("name", NAMES)
def test_levels_are_normalised_as_by_the_processor(oracle, name):
    image = jnp.asarray(oracle.inputs["levels"])[None]
    ours = preprocessing(oracle, name).normalize(image, jnp.dtype(jnp.float32))[0]
    np.testing.assert_allclose(ours, oracle.expected[f"{name}/levels"], rtol=1e-6, atol=1e-6)
