"""What our families write, read by transformers itself, and the frozen models made again."""

import jax
import numpy as np
import pytest

from geosurge_jax.interop.families import efficientnet, resnet, swin
from geosurge_jax.interop.writing import to_tensors
from tests.parity.comparison import TOLERANCE, load_tower, tower_errors
from tests.parity.oracle import Oracle, thaw
from tests.parity.oracles_convolutional import oracles

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # transformers and torch warn of themselves
]

FAMILIES = {family.name: family for family in (swin.FAMILY, resnet.FAMILY, efficientnet.FAMILY)}
CLASSES = {"swin": "SwinModel", "resnet": "ResNetModel", "efficientnet": "EfficientNetModel"}


@pytest.fixture(scope="module")
def live():
    return {oracle.name: oracle for oracle in oracles()}


@pytest.mark.parametrize(
    "name",
    [
        "swin-padded",
        "swin-whole",
        "resnet-basic",
        "resnet-bottleneck",
        "efficientnet-even",
        "efficientnet-odd",
    ],
)
def test_directory_written_loads_in_transformers_and_computes_the_same(name, live, tmp_path):
    import torch
    import transformers

    oracle, frozen = live[name], thaw(name)
    for path, value in frozen.expected.items():
        np.testing.assert_allclose(oracle.expected[path], value, atol=TOLERANCE, err_msg=path)
    family = FAMILIES[name.split("-")[0]]
    differences = tower_errors(oracle)
    assert max(differences.values()) < TOLERANCE, differences

    config, params = load_tower(oracle)
    weights = to_tensors(jax.device_get(params), family.entries(config))
    entries, preprocessor = family.write(config)
    Oracle(name, entries, preprocessor, weights, {}, {}, "").write_directory(tmp_path)
    model, report = getattr(transformers, CLASSES[family.name]).from_pretrained(
        tmp_path, output_loading_info=True
    )
    counted = {name for name in report["missing_keys"] if not name.endswith("num_batches_tracked")}
    buffers = {name for name in counted if name.endswith("relative_position_index")}
    assert counted == buffers
    assert not report["unexpected_keys"] and not report["mismatched_keys"]
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, use_fast=False)
    image = oracle.inputs["image"]
    pixels = processor(list(image), do_resize=False, do_center_crop=False, return_tensors="np")
    with torch.no_grad():
        output = model.eval()(torch.tensor(np.asarray(pixels["pixel_values"], np.float32)))
    pooled = output.pooler_output.reshape(2, -1).numpy()
    np.testing.assert_allclose(pooled, oracle.expected["pooled"], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("CLIPImageProcessor", {}),
        ("BitImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": 32}),
        ("ViTImageProcessor", {"size": 32}),
        ("SiglipImageProcessor", {}),
        ("SegformerImageProcessor", {}),
        ("ConvNextImageProcessor", {"size": 32, "crop_pct": 0.8}),
        ("ConvNextImageProcessor", {}),
        ("EfficientNetImageProcessor", {}),
        ("EfficientNetImageProcessor", {"rescale_offset": True, "do_center_crop": True}),
    ],
)
def test_image_processors_are_read_and_written_as_transformers_means_them(name, entries):
    import jax.numpy as jnp
    import transformers
    from PIL import Image

    from geosurge_jax.interop.families.image_processor import (
        read_preprocessing,
        write_preprocessing,
    )

    photo = np.random.default_rng(0).integers(0, 256, (450, 600, 3)).astype(np.uint8)
    theirs = getattr(transformers, name)(**entries)
    preprocessing = read_preprocessing(entries, name)
    written = transformers.CLIPImageProcessor(**write_preprocessing(preprocessing))
    outputs = [
        np.asarray(processor([photo], return_tensors="np")["pixel_values"][0], np.float32)
        for processor in (theirs, written)
    ]
    np.testing.assert_allclose(*outputs, atol=TOLERANCE)
    edge, side = (
        round(preprocessing.image_size * preprocessing.resize_ratio),
        preprocessing.image_size,
    )
    size = (edge, edge) if preprocessing.resize == "stretch" else (int(edge * 600 / 450), edge)
    filters = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}
    resized = np.asarray(Image.fromarray(photo).resize(size, filters[preprocessing.interpolation]))
    top, left = (resized.shape[0] - side) // 2, (resized.shape[1] - side) // 2
    square = resized[top : top + side, left : left + side]
    ours = np.asarray(preprocessing.normalize(jnp.asarray(square[None]), jnp.float32))[0]
    np.testing.assert_allclose(ours.transpose(2, 0, 1), outputs[0], atol=TOLERANCE)
