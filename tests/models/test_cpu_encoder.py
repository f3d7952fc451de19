"""The inference form for CPUs against the encoder that training uses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.geosurge import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.models import cpu_encoder
from geosurge_jax.models.vit import ViT
from geosurge_jax.models.vit_config import VIT_DESIGNS

TINY = parse(get_config("tiny").to_dict()).system.visual
CONFIG = dataclasses.replace(
    TINY,
    preprocessing=dataclasses.replace(TINY.preprocessing, image_size=32),
    patch=8,
    trained_blocks=1,
    projection=24,
)
IMAGE = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)


def random_params(config):
    """Values of order 1 in every parameter, so that none of them can be left out unseen."""
    shapes = jax.eval_shape(lambda: ViT(config).init(jax.random.key(0), IMAGE, train=False))
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: (0.3 * rng.standard_normal(leaf.shape)).astype(np.float32), shapes["params"]
    )


def largest_difference(config):
    params = random_params(config)
    expected = jax.jit(lambda tree: ViT(config).apply({"params": tree}, IMAGE, train=False))(params)
    actual = cpu_encoder.make_cpu_encoder(config, params)(jnp.asarray(IMAGE))
    assert actual.pooled.dtype == actual.tokens.dtype == jnp.float32
    differences = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), actual, expected)
    return max(differences.pooled, differences.tokens)


@pytest.mark.parametrize("kind", VIT_DESIGNS)
def test_each_design_equals_the_training_encoder(kind):
    activation = {"clip": "quick_gelu", "siglip": "gelu_tanh"}.get(kind, "gelu")
    assert largest_difference(dataclasses.replace(CONFIG, kind=kind, activation=activation)) < 1e-5


@pytest.mark.parametrize("kind", ["dinov2", "dinov3"])
def test_registers_and_a_gated_mlp(kind):
    config = dataclasses.replace(
        CONFIG, kind=kind, registers=3, gated_mlp=True, activation="silu", projection=0
    )
    assert largest_difference(config) < 1e-5


def test_scanned_stacks():
    assert largest_difference(dataclasses.replace(CONFIG, scan=True, trained_blocks=-1)) < 1e-5


def test_an_option_that_the_compiler_does_not_know_is_left_out(monkeypatch):
    monkeypatch.setattr(cpu_encoder, "CPU_OPTIONS", {"xla_cpu_no_such_option": True})
    assert cpu_encoder.compiler_options() == {}
