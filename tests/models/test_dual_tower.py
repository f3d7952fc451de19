from math import erf

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.translocator import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.models.dual_tower import BranchAttention, ClassTokenFusion, run_in_lockstep
from geosurge_jax.models.palette import class_colours, colour_picture
from geosurge_jax.models.semantic import patch_class_shares
from geosurge_jax.models.vit import ViT

CONFIG = parse(get_config("tiny").to_dict()).system.visual
WIDTH, DEPTH = CONFIG.width, CONFIG.shape.depth
TOKENS = [np.random.default_rng(seed).normal(size=(2, 17, WIDTH)) for seed in (0, 1)]


class Pair(nn.Module):
    @nn.compact
    def __call__(self, first, second):
        towers = [ViT(CONFIG, name="first"), ViT(CONFIG, name="second")]
        fusions = [ClassTokenFusion(name=f"fusion_{layer}") for layer in range(DEPTH - 1)]
        features = run_in_lockstep(towers, (first, second), fusions, train=False)
        return [jnp.concatenate([one.pooled[:, None], one.tokens], axis=1) for one in features]


def float64(params):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), params)


def randomised(params, seed=2):
    """Initial biases are zero and norms are one: twins could leave them out unseen."""
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    noisy = [np.asarray(x + 0.1 * rng.normal(size=x.shape), np.float32) for x in leaves]
    return jax.tree.unflatten(tree, noisy)


def layer_norm(x, p):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + CONFIG.norm_epsilon) * p["scale"] + p["bias"]


def linear(x, p):
    return x @ p["kernel"] + p["bias"]


def block(x, p):
    h, a = layer_norm(x, p["attention_norm"]), p["attention"]
    q, k, v = (
        np.einsum("bnd,dhk->bhnk", h, a[n]["kernel"]) + a[n]["bias"][None, :, None]
        for n in ("query", "key", "value")
    )
    weights = np.exp(q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1]))
    weights /= weights.sum(-1, keepdims=True)
    x = x + np.einsum("bhnk,hkd->bnd", weights @ v, a["out"]["kernel"]) + a["out"]["bias"]
    h = linear(layer_norm(x, p["mlp_norm"]), p["mlp"]["up"])
    return x + linear(h * (1 + np.vectorize(erf)(h / np.sqrt(2))) / 2, p["mlp"]["down"])


def test_class_tokens_are_exchanged_as_the_formula_says():
    """x_i = [g(sum_j f(cls_j)) || patches_i] between the layers, written out in float64."""
    tokens = [jnp.asarray(x, jnp.float32) for x in TOKENS]
    params = randomised(Pair().init(jax.random.key(0), *tokens)["params"])
    found = Pair().apply({"params": params}, *tokens)
    p, streams = float64(params), list(TOKENS)
    for layer in range(DEPTH):
        streams = [
            block(x, p[name][f"trained_blocks_{layer:02d}"])
            for name, x in zip(("first", "second"), streams, strict=True)
        ]
        if layer == DEPTH - 1:
            break
        pair = p[f"fusion_{layer}"]
        together = sum(linear(x[:, 0], pair["project"]) for x in streams)
        fused = linear(together, pair["restore"])
        streams = [np.concatenate([fused[:, None], x[:, 1:]], axis=1) for x in streams]
    for name, x, answer in zip(("first", "second"), streams, found, strict=True):
        np.testing.assert_allclose(answer, layer_norm(x, p[name]["norm"]), atol=3e-5)
    assert np.abs(found[0] - found[1]).max() > 0.1


def test_branches_are_weighed_as_the_formula_says():
    branches = np.random.default_rng(3).normal(size=(5, 2, WIDTH))
    model = BranchAttention(hidden=8, dropout=0.2)
    given = jnp.asarray(branches, jnp.float32)
    params = randomised(model.init(jax.random.key(0), given, train=False)["params"])
    p = float64(params)
    h = linear(branches, p["hidden"])
    score = np.where(h > 0, h, 0.01 * h) @ p["score"]["kernel"]
    weight = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    found = model.apply({"params": params}, given, train=False)
    np.testing.assert_allclose(found, (weight * branches).sum(axis=1), atol=1e-5)
    assert weight.std() > 0.05
    swapped = model.apply({"params": params}, given[:, ::-1], train=False)
    np.testing.assert_allclose(swapped, found, atol=1e-5)


@pytest.mark.parametrize("subgrid", [1, 2])
def test_patches_of_a_class_map_count_their_classes(subgrid):
    classes, grid, side = 7, 3, 12
    class_map = np.random.default_rng(4).integers(0, 9, (2, side, side)).astype(np.uint8)
    found = patch_class_shares(jnp.asarray(class_map), classes, grid, subgrid)
    cell = side // (grid * subgrid)
    for photo, row, column in np.ndindex(2, grid, grid):
        patch = class_map[photo, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        expected = [
            (patch[r * cell : (r + 1) * cell, c * cell : (c + 1) * cell] == k).mean()
            for r, c in np.ndindex(subgrid, subgrid)
            for k in range(classes)
        ]
        np.testing.assert_allclose(found[photo, grid * row + column], expected, atol=1e-6)


def test_every_class_has_a_colour_of_its_own():
    colours = class_colours(150)
    assert colours.shape == (256, 3) and colours.dtype == np.uint8
    apart = np.abs(colours[:150, None].astype(int) - colours[None, :150]).max(axis=-1)
    assert apart[~np.eye(150, dtype=bool)].min() >= 12
    assert colours[:150].min() >= 32 and not colours[150:].any()
    np.testing.assert_array_equal(class_colours(20)[:20], colours[:20])
    class_map = np.array([[[3, 255], [149, 3]]], np.uint8)
    picture = np.asarray(colour_picture(jnp.asarray(class_map), 150))
    np.testing.assert_array_equal(picture[0, 1, 0], colours[149])
    np.testing.assert_array_equal(picture[0, 0], [colours[3], [0, 0, 0]])
