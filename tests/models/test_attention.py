import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.models.layers import ACTIVATIONS, Attention, Mlp


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def numpy_attention(params, queries, context):
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    if "compress" in p:
        context = context @ p["compress"]["kernel"]

    def project(name, x):
        return np.einsum("bnd,dhk->bhnk", x, p[name]["kernel"]) + p[name]["bias"][None, :, None]

    q, k, v = project("query", queries), project("key", context), project("value", context)
    weights = softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1]))
    return np.einsum("bhnk,hkd->bnd", weights @ v, p["out"]["kernel"]) + p["out"]["bias"]


@pytest.mark.parametrize("rank", [0, 5])
def test_attention_equals_a_float64_twin(rank):
    rng = np.random.default_rng(0)
    queries, context = rng.normal(size=(2, 3, 8)), rng.normal(size=(2, 7, 12))
    module = Attention(heads=2, rank=rank)
    args = jnp.asarray(queries, jnp.float32), jnp.asarray(context, jnp.float32)
    params = module.init(jax.random.key(0), *args)["params"]
    params = jax.tree.map(lambda x: x + 0.1, params)
    np.testing.assert_allclose(
        module.apply({"params": params}, *args),
        numpy_attention(params, queries, context),
        atol=2e-6,
    )


def test_quick_gelu_is_not_gelu_but_near_it():
    x = np.linspace(-4, 4, 101)
    quick, exact = (
        np.asarray(ACTIVATIONS[name](jnp.asarray(x))) for name in ("quick_gelu", "gelu")
    )
    np.testing.assert_allclose(quick, x / (1 + np.exp(-1.702 * x)), atol=1e-6)
    assert 1e-3 < np.abs(quick - exact).max() < 0.03


def test_mlp_equals_a_float64_twin():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 4, 6))
    module = Mlp(hidden=10, activation="quick_gelu")
    params = module.init(jax.random.key(0), jnp.asarray(x, jnp.float32))["params"]
    p = jax.tree.map(lambda a: np.asarray(a, np.float64) + 0.1, params)
    hidden = x @ p["up"]["kernel"] + p["up"]["bias"]
    expected = (hidden / (1 + np.exp(-1.702 * hidden))) @ p["down"]["kernel"] + p["down"]["bias"]
    given = module.apply({"params": jax.tree.map(jnp.float32, p)}, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(given, expected, atol=2e-6)
