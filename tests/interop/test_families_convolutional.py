import dataclasses
import json

import numpy as np
import pytest

from geosurge_jax.interop.families import efficientnet, resnet, swin
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.training.parameters import flatten
from tests.models.test_stages import shapes
from tests.parity.convolutional import parameters
from tests.parity.oracle import thaw

FAMILIES = {
    "swin-padded": swin.FAMILY,
    "swin-whole": swin.FAMILY,
    "resnet-basic": resnet.FAMILY,
    "resnet-bottleneck": resnet.FAMILY,
    "efficientnet-even": efficientnet.FAMILY,
    "efficientnet-odd": efficientnet.FAMILY,
}


@pytest.fixture(scope="module", params=FAMILIES)
def case(request):
    oracle, family = thaw(request.param), FAMILIES[request.param]
    return oracle, family, family.read(oracle.config, oracle.preprocessor)


def test_map_takes_every_tensor_of_the_file_once_and_fills_every_parameter(case):
    oracle, family, config = case
    params, left = parameters(oracle, family, config)
    assert not left
    expected = {path: leaf.shape for path, leaf in flatten(shapes(config)).items()}
    assert {path: value.shape for path, value in flatten(params).items()} == expected
    names = [entry.name for entry in family.entries(config)]
    assert len({*names}) == len(names) == len(expected)


def test_tensors_come_back_bit_for_bit_under_their_names(case):
    oracle, family, config = case
    params, _ = parameters(oracle, family, config)
    flat = flatten(params)
    written = {e.name: e.transform.to_theirs(flat[e.path]) for e in family.entries(config)}
    prefix = (
        family.prefixes[0] if f"{family.prefixes[0]}{next(iter(written))}" in oracle.weights else ""
    )
    for name, value in written.items():
        theirs = oracle.weights[prefix + name]
        assert value.shape == theirs.shape and value.tobytes() == theirs.tobytes(), name


def test_config_written_is_the_config_read(case):
    _, family, config = case
    files = [json.loads(json.dumps(file)) for file in family.write(config)]
    assert family.read(*files) == config
    assert files[0]["model_type"] in family.model_types and config.kind == family.name


def test_config_read_is_what_the_file_says():
    oracle = thaw("swin-padded")
    config = swin.FAMILY.read(oracle.config, oracle.preprocessor)
    assert (config.size, config.patch, config.window, config.norm_epsilon) == ("mu", 4, 3, 1e-3)
    assert (config.preprocessing.image_size, config.preprocessing.interpolation) == (28, "bicubic")
    assert config.preprocessing.mean == (0.485, 0.456, 0.406)
    assert config.trained_stages == -1


# Defaults of transformers' configs and processors, and what the published files hold.
@pytest.mark.parametrize(
    ("family", "preprocessor", "expected"),
    [
        (swin.FAMILY, None, ("T", 224, "stretch", "bicubic", (0.229, 0.224, 0.225))),
        (swin.FAMILY, {}, ("T", 224, "stretch", "bilinear", (0.5, 0.5, 0.5))),
        (resnet.FAMILY, None, ("50", 224, "short", "bicubic", (0.229, 0.224, 0.225))),
        (resnet.FAMILY, {}, ("50", 384, "stretch", "bilinear", (0.5, 0.5, 0.5))),
        (efficientnet.FAMILY, None, ("B7", 600, "stretch", "nearest", (0.229, 0.224, 0.225))),
    ],
)
def test_missing_entries_hold_the_defaults(family, preprocessor, expected):
    listed = {"depthwise_padding": [18]} if family.name == "efficientnet" else {}
    config = family.read(listed, preprocessor)
    made = config.preprocessing
    assert (
        config.size,
        made.image_size,
        made.resize,
        made.interpolation,
        made.deviation,
    ) == expected


@pytest.mark.parametrize(
    ("family", "entries", "message"),
    [
        (
            swin.FAMILY,
            {"use_absolute_embeddings": True},
            "use_absolute_embeddings=True is not supported",
        ),
        (
            swin.FAMILY,
            {"hidden_act": "relu"},
            "hidden_act='relu' is not supported: expected 'gelu'",
        ),
        (swin.FAMILY, {"qkv_bias": False}, "qkv_bias=False is not supported"),
        (swin.FAMILY, {"mlp_ratio": 2.0}, "mlp_ratio=2.0 is not supported"),
        (swin.FAMILY, {"num_channels": 1}, "num_channels=1 is not supported"),
        (swin.FAMILY, {"embed_dim": 100}, r"embed_dim=100, depths=\[2, 2, 6, 2\].* not supported"),
        (swin.FAMILY, {"window_size": 8}, "config.system.visual.window=8: expected 1 to 7"),
        (resnet.FAMILY, {"hidden_act": "gelu"}, "hidden_act='gelu' is not supported"),
        (resnet.FAMILY, {"layer_type": "wide"}, "layer_type='wide' is not supported"),
        (
            resnet.FAMILY,
            {"downsample_in_first_stage": True},
            "downsample_in_first_stage=True is not",
        ),
        (resnet.FAMILY, {"downsample_in_bottleneck": True}, "downsample_in_bottleneck=True is not"),
        (resnet.FAMILY, {"depths": [3, 4, 6, 4]}, r"depths=\[3, 4, 6, 4\].* are not supported"),
        (efficientnet.FAMILY, {"hidden_act": "relu"}, "hidden_act='relu' is not supported"),
        (efficientnet.FAMILY, {"pooling_type": "max"}, "pooling_type='max' is not supported"),
        (efficientnet.FAMILY, {"depth_divisor": 16}, "depth_divisor=16 is not supported"),
        (
            efficientnet.FAMILY,
            {"squeeze_expansion_ratio": 0.5},
            "squeeze_expansion_ratio=0.5 is not",
        ),
        (
            efficientnet.FAMILY,
            {"width_coefficient": 3.0},
            "width_coefficient=3.0.* are not supported",
        ),
        (efficientnet.FAMILY, {"strides": [1, 2]}, r"strides=\[1, 2\].* are not supported"),
        (efficientnet.FAMILY, {"in_channels": [16]}, r"in_channels=\[16\] is not supported"),
        (
            efficientnet.FAMILY,
            {"hidden_dim": 1280},
            "hidden_dim=1280 is not supported: expected 2560",
        ),
        (
            efficientnet.FAMILY,
            {"depthwise_padding": []},
            r"depthwise_padding=\[\] .* expected \[18\] for",
        ),
        (efficientnet.FAMILY, {"image_size": 601}, "image_size=601: expected an even number"),
    ],
)
def test_variants_are_refused_by_entry_and_value(family, entries, message):
    listed = {"depthwise_padding": [18]} if family.name == "efficientnet" else {}
    with pytest.raises(WeightsError, match="^config.json: .*" + message):
        family.read({**listed, **entries}, None)


def test_statistics_of_batch_norm_are_the_running_ones():
    oracle = thaw("resnet-basic")
    config = resnet.FAMILY.read(oracle.config, oracle.preprocessor)
    flat = flatten(parameters(oracle, resnet.FAMILY, config)[0])
    theirs = oracle.weights["resnet.embedder.embedder.normalization.running_var"]
    np.testing.assert_array_equal(flat["stem/norm/variance"], theirs)
    assert (
        dataclasses.replace(config, trained_stages=0).frozen_rules[-1].endswith("(mean|variance)$")
    )
