import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.models.fusion import Fusion, FusionConfig
from geosurge_jax.training.parameters import flatten


def config(kind, blocks=2):
    return FusionConfig(
        kind=kind,
        blocks=blocks,
        latents=4,
        rank=6,
        heads=2,
        mlp_ratio=2,
        semantic_subgrid=1,
        dropout=0.0,
    )


def tokens(seed, count):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(2, count, 8)), jnp.float32)


@pytest.mark.parametrize("kind", ["latent", "low_rank", "direct"])
def test_class_token_depends_on_image_and_on_semantic_map(kind):
    fusion, rgb, semantic = Fusion(config(kind)), tokens(0, 10), tokens(1, 9)
    params = fusion.init(jax.random.key(0), rgb, semantic, train=False)

    def fused(rgb, semantic):
        return fusion.apply(params, rgb, semantic, train=False)

    start = fused(rgb, semantic)
    assert start.shape == (2, 8)
    changed_patch = fused(rgb.at[0, 5, 2].add(1.0), semantic)
    changed_map = fused(rgb, semantic.at[0, 3, 2].add(1.0))
    for changed in (changed_patch, changed_map):
        assert np.abs(changed[0] - start[0]).max() > 1e-4
        np.testing.assert_array_equal(changed[1], start[1])


@pytest.mark.parametrize(
    ("kind", "present", "absent"),
    [
        ("latent", "block_1/latents", "block_0/attention/compress/kernel"),
        ("low_rank", "block_0/attention/compress/kernel", "block_1/latents"),
        ("direct", "block_1/attention/key/kernel", "block_0/gather/key/kernel"),
    ],
)
def test_kinds_differ_in_their_parameters(kind, present, absent):
    shapes = jax.eval_shape(
        lambda: Fusion(config(kind)).init(
            jax.random.key(0), tokens(0, 10), tokens(1, 9), train=False
        )["params"]
    )
    paths = flatten(shapes)
    assert present in paths and absent not in paths


def test_latent_attention_never_builds_a_map_of_all_pairs():
    many = config("latent", blocks=1)
    rgb, semantic = tokens(0, 65), tokens(1, 64)
    fusion = Fusion(many)
    params = fusion.init(jax.random.key(0), rgb, semantic, train=False)
    text = str(jax.make_jaxpr(lambda r, s: fusion.apply(params, r, s, train=False))(rgb, semantic))
    assert "2,2,4,130]" in text.replace(" ", ""), "latents gather the context"
    assert "65,130]" not in text.replace(" ", "")


def test_bad_choices_are_refused_with_their_key():
    with pytest.raises(ValueError, match="config.system.fusion.kind='early'"):
        config("early")
    with pytest.raises(ValueError, match="config.system.fusion.blocks=0"):
        config("latent", blocks=0)
