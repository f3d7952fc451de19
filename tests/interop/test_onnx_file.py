"""ONNX models against JAX, with onnxruntime as the independent oracle; their description with Pillow."""

import dataclasses
import importlib
import json
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from configs import geosurge as geosurge_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.input.geometry import Framing, evaluation_crops
from geosurge_jax.interop import onnx_file
from geosurge_jax.interop.onnx_file import OnnxError, write_onnx
from geosurge_jax.systems import SYSTEMS
from tests.systems import contract_checks as checks

CONFIGS = (
    "geosurge",
    "geoclip",
    "translocator",
    "planet_classifier",
    "isn",
    "regression",
    "geodecoder",
    "nearest",
    "mvmf",
    "cplanet",
)


def build_small(name):
    """The tiny variant of a config on images of 16 pixels: system, parameters and prepared arrays."""
    raw = importlib.import_module(f"configs.{name}").get_config("tiny")
    raw.system.visual.preprocessing.image_size = checks.SIDE
    config = parse(raw.to_dict())
    entry, places = SYSTEMS[config.system_name], checks.training_places()
    max_images = {
        "cplanet": tuple(config.geocells.max_images),
        "translocator": (200, 60, 20),
        "regression": (100,),
        "nearest": (100,),
        "planet_classifier": (100,),
    }
    hierarchy = checks.small_hierarchy(max_images.get(name, (200, 20)))
    system = entry.build(config.system, hierarchy, entry.survey(config.system, places, hierarchy))
    params = checks.made(system, checks.small_batch(system))
    index = {}
    if system.index_rows is not None:
        rows = 40
        vectors = np.random.default_rng(4).normal(size=(rows, config.system.embedding_width)) + 2
        index = {
            "embedding": vectors.astype(np.float32),
            "latlng": places[:rows].astype(np.float32),
            "valid": np.ones(rows, np.float32),
        }
    return system, params, jax.device_get(system.prepare(params, index))


@pytest.fixture(scope="module")
def geosurge():
    return build_small("geosurge")


@pytest.mark.parity
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.filterwarnings("default")  # jax2onnx uses deprecated names of its own libraries
def test_onnxruntime_equals_jax_for_any_batch_size(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    system, params, prepared = build_small(name)
    write_onnx(tmp_path, system, params, prepared)
    session = onnxruntime.InferenceSession(tmp_path / "posterior.onnx")
    batch = checks.small_batch(system)
    for size in (1, 5):
        image, segmentation = batch["image"][-size:], batch["segmentation"][-size:]
        latlng, log_prob = session.run(
            ["latlng", "log_prob"], {"image": image, "segmentation": segmentation}
        )
        expected = jax.jit(system.posterior)(
            params, prepared, {"image": image, "segmentation": segmentation}
        )
        np.testing.assert_allclose(latlng, expected.latlng, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(log_prob, expected.log_prob, rtol=1e-4, atol=1e-4)


@pytest.mark.parity
@pytest.mark.filterwarnings("default")
def test_a_model_that_computes_something_else_is_rejected(geosurge, tmp_path, monkeypatch):
    import jax2onnx

    def convert(function, *arguments, **named):
        def wrong(*inputs):
            latlng, log_prob = function(*inputs)
            return latlng, log_prob + 1e-2

        return to_onnx(wrong, *arguments, **named)

    to_onnx = jax2onnx.to_onnx
    monkeypatch.setattr(jax2onnx, "to_onnx", convert)
    with pytest.raises(OnnxError, match=r"log_prob: onnxruntime and JAX differ by 0\.01"):
        write_onnx(tmp_path, *geosurge)


def test_a_missing_library_is_one_line_that_names_the_extra(geosurge, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(OnnxError) as caught:
        write_onnx(tmp_path, *geosurge)
    message = 'jax2onnx is not installed: ONNX needs pip install "geosurge_jax[onnx]"'
    assert str(caught.value) == message and not list(tmp_path.iterdir())


@pytest.mark.parametrize("resize", ["short", "stretch"])
def test_the_description_alone_leads_to_the_pixels_of_evaluation(resize):
    """A reader of the JSON file, written as one would be elsewhere, against the project's own framing."""
    config = parse(geosurge_config.get_config("tiny").to_dict()).system.visual
    preprocessing = dataclasses.replace(
        config.preprocessing, image_size=24, resize=resize, resize_ratio=256 / 224
    )
    text = json.dumps(onnx_file._describe_preprocessing(preprocessing))
    pixels = np.random.default_rng(0).integers(0, 256, (45, 71, 3)).astype(np.uint8)

    framing = Framing(24, resize, 256 / 224, preprocessing.interpolation)
    height, width = framing.resized(45, 71)
    ((top, left, _),) = evaluation_crops(height, width, 1, 24)
    bicubic = Image.Resampling.BICUBIC
    resized = np.asarray(Image.fromarray(pixels).resize((width, height), bicubic))
    expected = resized[top : top + 24, left : left + 24]

    found = read_by_description(json.loads(text), Image.fromarray(pixels))
    np.testing.assert_array_equal(found, expected)


def read_by_description(steps, image):
    image = image.convert(steps["colour_order"])
    short, size = steps["resized_size"], steps["size"]
    if steps["resize"] == "short":
        long = int(short * max(image.size) / min(image.size))
        shape = (short, long) if image.width <= image.height else (long, short)
    else:
        shape = (short, short)
    image = image.resize(shape, Image.Resampling[steps["interpolation"].upper()])
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))
