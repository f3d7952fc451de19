import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.geosurge import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.models.vit import ViT, patches
from geosurge_jax.training.parameters import flatten

PREPROCESSING = dataclasses.replace(
    parse(get_config("paper").to_dict()).system.visual.preprocessing, image_size=32
)
CONFIG = dataclasses.replace(
    parse(get_config("tiny").to_dict()).system.visual,
    preprocessing=PREPROCESSING,
    trained_blocks=1,
)
IMAGE = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)


def apply(config, params):
    features = ViT(config).apply({"params": params}, jnp.asarray(IMAGE), train=False)
    return jnp.concatenate([features.pooled[:, None], features.tokens], axis=1)


@pytest.fixture(scope="module")
def params():
    return ViT(CONFIG).init(jax.random.key(0), jnp.asarray(IMAGE), train=False)["params"]


def layer_norm(x, p, epsilon):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * p["scale"] + p["bias"]


def numpy_block(x, p, epsilon):
    h = layer_norm(x, p["attention_norm"], epsilon)
    a = p["attention"]
    q, k, v = (
        np.einsum("bnd,dhk->bhnk", h, a[n]["kernel"]) + a[n]["bias"][None, :, None]
        for n in ("query", "key", "value")
    )
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    x = x + np.einsum("bhnk,hkd->bnd", weights @ v, a["out"]["kernel"]) + a["out"]["bias"]
    h = layer_norm(x, p["mlp_norm"], epsilon)
    h = h @ p["mlp"]["up"]["kernel"] + p["mlp"]["up"]["bias"]
    h = h / (1 + np.exp(-1.702 * h))
    return x + h @ p["mlp"]["down"]["kernel"] + p["mlp"]["down"]["bias"]


def test_tower_equals_a_float64_twin(params):
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    mean, deviation = np.asarray(PREPROCESSING.mean), np.asarray(PREPROCESSING.deviation)
    pixels = (IMAGE / 255.0 - mean) / deviation
    tokens = np.stack(
        [
            pixels[:, r : r + 8, c : c + 8].reshape(2, -1)
            for r in range(0, 32, 8)
            for c in range(0, 32, 8)
        ],
        axis=1,
    )
    x = tokens @ p["patch_embedding"]["kernel"]
    x = np.concatenate([np.broadcast_to(p["class_token"], (2, 1, 32)), x], axis=1)
    x = layer_norm(x + p["position_embedding"], p["pre_norm"], 1e-5)
    for name in ("frozen_blocks_00", "trained_blocks_00"):
        x = numpy_block(x, p[name], 1e-5)
    np.testing.assert_allclose(apply(CONFIG, params), layer_norm(x, p["norm"], 1e-5), atol=2e-5)


def test_scanned_stack_equals_the_unrolled_one(params):
    stacked = {}
    for name, value in params.items():
        if name.endswith("_00"):
            stacked[name[:-3]] = jax.tree.map(lambda x: x[None], value)
        else:
            stacked[name] = value
    scanned = dataclasses.replace(CONFIG, scan=True, remat=True)
    # Two programs: the sums of float32 come in another order where a CPU has other vectors.
    np.testing.assert_allclose(apply(scanned, stacked), apply(CONFIG, params), rtol=1e-6, atol=1e-6)


def test_patches_are_the_pixels_of_their_square():
    cut = np.asarray(patches(jnp.asarray(IMAGE), 8))
    np.testing.assert_array_equal(cut[1, 6], IMAGE[1, 8:16, 16:24].reshape(-1))


@pytest.mark.parametrize(("trained_blocks", "frozen"), [(-1, 0), (1, 1), (0, 2)])
def test_frozen_rules_name_the_blocks_before_the_trained_ones(trained_blocks, frozen):
    config = dataclasses.replace(CONFIG, trained_blocks=trained_blocks)
    shapes = jax.eval_shape(
        lambda: ViT(config).init(jax.random.key(0), jnp.asarray(IMAGE), train=False)["params"]
    )
    blocks = {path.split("/")[0] for path in flatten(shapes) if path.startswith("frozen_blocks")}
    assert len(blocks) == frozen
    assert ("norm/" in config.frozen_rules) == (trained_blocks == 0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kind", "resvit", "config.system.visual.kind='resvit': expected one of"),
        ("size", "XXL", "config.system.visual.size='XXL': expected one of"),
        ("activation", "relu", "config.system.visual.activation='relu': expected one of"),
        (
            "patch",
            7,
            "preprocessing.image_size=32: expected a multiple of config.system.visual.patch=7",
        ),
        ("registers", -1, "config.system.visual.registers=-1: expected 0 or more"),
        ("trained_blocks", 3, "config.system.visual.trained_blocks=3: expected -1"),
    ],
)
def test_bad_choices_are_refused_with_their_key(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **{field: value})
