import dataclasses
from math import erf

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.models.query_decoder import (
    DecoderLayer,
    QueryDecoderConfig,
    queries_of_scene,
    scene_confidences,
    straight_through,
)

CONFIG = QueryDecoderConfig(
    shared_layers=1, separate_layers=1, width=12, heads=3, mlp_width=20, dropout=0.0
)
B, LEVELS, SCENES, WIDTH = 2, 3, 4, 12
RNG = np.random.default_rng(0)
QUERIES = RNG.normal(size=(B, LEVELS, SCENES, WIDTH))
TOKENS = RNG.normal(size=(B, 5, 7))


def layer(separate):
    """A layer with parameters that no twin could leave out unseen, and what it answers."""
    model = DecoderLayer(CONFIG, separate)
    given = jnp.asarray(QUERIES, jnp.float32), jnp.asarray(TOKENS, jnp.float32)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), *given, train=False)["params"])
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda s: (0.3 * rng.normal(size=s.shape) + (len(s.shape) == 1)).astype(np.float32), shapes
    )
    apply = jax.jit(lambda q, t: model.apply({"params": params}, q, t, train=False))
    return params, lambda q: np.asarray(apply(jnp.asarray(q, jnp.float32), given[1]))


def layer_norm(x, p):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * p["scale"] + p["bias"]


def attention(x, context, p, seen):
    q, k, v = (
        np.einsum("bnd,dhk->bhnk", y, p[n]["kernel"]) + p[n]["bias"][None, :, None]
        for n, y in (("query", x), ("key", context), ("value", context))
    )
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1])
    weights = np.where(seen[None, None], np.exp(scores), 0.0)
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("bhnk,hkd->bnd", weights @ v, p["out"]["kernel"]) + p["out"]["bias"]


def gelu(x):
    return x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2


@pytest.mark.parametrize("separate", [False, True])
def test_a_layer_equals_a_float64_twin(separate):
    params, apply = layer(separate)
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    x = QUERIES.reshape(B, LEVELS * SCENES, WIDTH)
    hierarchy = np.arange(LEVELS * SCENES) // SCENES
    same = hierarchy[:, None] == hierarchy[None] if separate else np.ones((12, 12), bool)
    everything = np.ones((12, 5), bool)
    x = x + attention(layer_norm(x, p["cross_norm"]), TOKENS, p["cross_attention"], everything)
    h = layer_norm(x, p["self_norm"])
    x = x + attention(h, h, p["self_attention"], same)
    h, out = layer_norm(x, p["mlp_norm"]), np.zeros_like(x)
    mlp = p["mlp"]
    for query, level in enumerate(hierarchy):
        if separate:
            up, down = (
                (mlp[f"{n}_kernel"][level], mlp[f"{n}_bias"][level]) for n in ("up", "down")
            )
        else:
            up, down = ((mlp[n]["kernel"], mlp[n]["bias"]) for n in ("up", "down"))
        out[:, query] = gelu(h[:, query] @ up[0] + up[1]) @ down[0] + down[1]
    found = apply(QUERIES).reshape(B, LEVELS * SCENES, WIDTH)
    np.testing.assert_allclose(found, x + out, atol=3e-5)


@pytest.mark.parametrize("separate", [False, True])
def test_hierarchies_hear_each_other_in_shared_layers_alone(separate):
    _, apply = layer(separate)
    other = QUERIES.copy()
    other[:, 1, 2] = RNG.normal(size=(B, WIDTH))
    moved = np.abs(apply(other) - apply(QUERIES)).max(axis=(0, 3))
    assert moved[1].min() > 1e-4, "the same hierarchy hears it"
    assert (moved[[0, 2]].max() > 1e-4) != separate
    # The order of scenes means nothing.
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(apply(QUERIES[:, :, order]), apply(QUERIES)[:, :, order], atol=2e-6)


def test_the_scene_of_the_highest_mean_confidence_goes_on():
    queries = np.random.default_rng(3).normal(size=(50, LEVELS, SCENES, WIDTH))
    given = jnp.asarray(queries, jnp.float32)
    confidences = scene_confidences(given)
    found = queries_of_scene(given, straight_through(confidences))
    for photo in range(50):
        means = [queries[photo, :, scene, 0].mean() for scene in range(SCENES)]
        np.testing.assert_allclose(confidences[photo], means, atol=1e-6)
        best = max(range(SCENES), key=means.__getitem__)
        np.testing.assert_allclose(found[photo], queries[photo, :, best], atol=1e-5)
    tops = queries[..., 0].argmax(axis=-1)
    assert (tops[:, 0] != tops[:, 1]).any(), "hierarchies that disagree are among them"


def test_the_choice_of_a_scene_has_the_gradient_of_a_softmax():
    confidences = np.array([0.3, 1.0, -0.5])
    towards = np.array([1.0, -2.0, 0.5])
    soft = np.exp(confidences) / np.exp(confidences).sum()
    expected = soft * (towards - (soft * towards).sum())
    gradient = jax.grad(lambda c: jnp.sum(straight_through(c[None])[0] * towards))(
        jnp.asarray(confidences, jnp.float32)
    )
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("shared_layers", 0, "config.system.decoder.shared_layers=0: expected 1 or more"),
        ("separate_layers", -1, "config.system.decoder.separate_layers=-1: expected 0 or more"),
        ("width", 13, "config.system.decoder.width=13: expected a positive multiple of"),
        ("heads", 0, "config.system.decoder.heads=0: expected 1 or more"),
    ],
)
def test_values_out_of_range_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **{field: value})
