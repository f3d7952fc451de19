import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.interop.families import clip_text, siglip_text
from geosurge_jax.models.text import TextConfig, TextTower
from geosurge_jax.training.layout import plan_layout
from geosurge_jax.training.mesh import MeshConfig, make_mesh
from geosurge_jax.training.parameters import unflatten
from tests.parity.oracle import thaw

ORACLES = {
    "clip_text_legacy_end": clip_text.FAMILY,
    "clip_text_explicit_end": clip_text.FAMILY,
    "siglip_text": siglip_text.FAMILY,
    "siglip2_text_short": siglip_text.FAMILY,
}


def parameters(config, family, weights):
    arrays = {
        entry.path.replace("blocks/", "blocks_"): entry.transform.to_ours(weights[entry.name])
        for entry in family.entries(config)
    }
    return unflatten(arrays)


@pytest.fixture(scope="module")
def towers():
    """Name to oracle, tower and parameters."""
    made = {}
    for name, family in ORACLES.items():
        oracle = thaw(name)
        config = family.read(oracle.config, None)
        made[name] = oracle, TextTower(config), parameters(config, family, oracle.weights)
    return made


def outputs(tower, params, tokens):
    pooled, kept = jax.jit(lambda p, t: tower.apply({"params": p}, t, capture_intermediates=True))(
        params, tokens
    )
    return {
        path: kept["intermediates"][path]["__call__"][0]
        for path in kept["intermediates"]
        if path != "__call__"
    } | {"pooled": pooled}


@pytest.mark.parametrize("name", ORACLES)
def test_every_named_intermediate_equals_transformers(towers, name):
    oracle, tower, params = towers[name]
    ours = outputs(tower, params, oracle.inputs["tokens"])
    assert set(oracle.expected) == {"blocks_00", "blocks_01", "norm", "pooled"}
    for path, expected in oracle.expected.items():
        np.testing.assert_allclose(ours[path], expected, atol=1e-5, rtol=0, err_msg=path)


@pytest.mark.parametrize("name", ORACLES)
def test_parameters_are_all_mapped_in_shape(towers, name):
    _, tower, params = towers[name]
    shapes = jax.eval_shape(tower.init, jax.random.key(0), jnp.zeros((1, 2), jnp.int32))["params"]
    assert jax.tree.map(lambda x: x.shape, params) == jax.tree.map(lambda x: x.shape, shapes)


def test_the_end_token_is_read_as_transformers_reads_it(towers):
    assert towers["clip_text_legacy_end"][1].config.end_token is None
    assert towers["clip_text_explicit_end"][1].config.end_token == 31


def test_what_follows_the_end_token_changes_nothing(towers):
    """Pooling at the end token under a causal mask needs no mask of padding."""
    oracle, tower, params = towers["clip_text_explicit_end"]
    tokens = np.array([[4, 7, 31, 31, 31, 31, 31, 31, 31]], np.int32)
    other = np.array([[4, 7, 31, 8, 30, 0, 31, 39, 2]], np.int32)
    short = tokens[:, :3]
    apply = jax.jit(lambda t: tower.apply({"params": params}, t))
    np.testing.assert_array_equal(apply(tokens), apply(other))
    np.testing.assert_allclose(apply(tokens), apply(short), atol=1e-6)
    assert np.abs(apply(tokens) - apply(other[:, [0, 3, 2]])).max() > 1e-2


def test_siglip_sees_its_padding(towers):
    _, tower, params = towers["siglip_text"]
    tokens = np.array([[4, 7, 1, 1, 1, 1, 1, 1, 1]], np.int32)
    apply = jax.jit(lambda t: tower.apply({"params": params}, t))
    assert np.abs(apply(tokens) - apply(np.where(tokens == 1, 0, tokens))).max() > 1e-2


def test_bfloat16_is_near(towers):
    oracle, tower, params = towers["clip_text_legacy_end"]
    tower = TextTower(tower.config, jnp.bfloat16)
    pooled = tower.apply({"params": params}, oracle.inputs["tokens"])
    assert pooled.dtype == jnp.bfloat16
    np.testing.assert_allclose(pooled.astype(jnp.float32), oracle.expected["pooled"], atol=0.1)


@pytest.mark.parametrize("name", ["clip_text_legacy_end", "siglip_text"])
def test_matrices_are_split_and_every_parameter_has_a_rule(towers, name):
    _, tower, params = towers[name]
    mesh = make_mesh(MeshConfig(data=1, fsdp=4, model=2))
    rows = plan_layout(params, tower.config.partition_rules, mesh)
    for row in rows:
        whole = int(np.prod(row.shape)) * 4
        split = 4 if len(row.shape) > 1 and "bias" not in row.path else 1
        if row.path != "position_embedding":
            assert row.bytes_per_device == whole // split, row


def test_sentences_beyond_the_context_are_refused(towers):
    _, tower, params = towers["siglip_text"]
    with pytest.raises(ValueError, match="^10 tokens: expected at most 9"):
        tower.apply({"params": params}, jnp.zeros((1, 10), jnp.int32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "bert"}, r"kind='bert': expected one of \('clip', 'siglip'\)"),
        ({"activation": "relu6"}, "activation='relu6': expected one of"),
        ({"depth": 0}, "depth=0: expected 1 or more"),
        ({"heads": 3}, "width=16: expected a multiple of heads=3"),
        ({"kind": "siglip"}, "end_token=2: expected None"),
    ],
)
def test_bad_choices_are_named(change, message):
    fine = dict(
        kind="clip",
        vocabulary=9,
        context=4,
        width=16,
        depth=1,
        mlp=8,
        heads=4,
        activation="gelu",
        norm_epsilon=1e-5,
        projection=8,
        end_token=2,
    )
    TextConfig(**fine)
    with pytest.raises(ValueError, match=f"^text tower: {message}"):
        TextConfig(**fine | change)
