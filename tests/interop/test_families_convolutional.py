import dataclasses

import numpy as np
import pytest

from geosurge_jax.interop.families import efficientnet, resnet, swin
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.training.parameters import flatten
from tests.parity.comparison import load_tower
from tests.parity.oracle import thaw


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
    config, params = load_tower(oracle)
    flat = flatten(params)
    theirs = oracle.weights["resnet.embedder.embedder.normalization.running_var"]
    np.testing.assert_array_equal(flat["stem/norm/variance"], theirs)
    assert (
        dataclasses.replace(config, trained_stages=0).frozen_rules[-1].endswith("(mean|variance)$")
    )
