import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.interop.families.resnet import FAMILY
from geosurge_jax.models.batch_norm import FrozenBatchNorm
from tests.parity.comparison import TOLERANCE, tower_errors
from tests.parity.oracle import thaw


@pytest.mark.parametrize("name", ["resnet-basic", "resnet-bottleneck"])
def test_every_intermediate_equals_transformers(name):
    differences = tower_errors(thaw(name))
    assert {"stem", "stage_0", "stage_1", "stage_1/block_00/shortcut"} < differences.keys()
    assert max(differences.values()) < TOLERANCE, differences


def test_batch_norm_is_the_formula_of_its_parameters():
    random = np.random.default_rng(0)
    params = {
        "scale": random.normal(size=3),
        "bias": random.normal(size=3),
        "mean": random.normal(size=3),
        "variance": random.uniform(0.5, 2.0, 3),
    }
    x = random.normal(size=(2, 4, 5, 3))
    expected = (x - params["mean"]) / np.sqrt(params["variance"] + 0.1)
    expected = expected * params["scale"] + params["bias"]
    module = FrozenBatchNorm(epsilon=0.1)
    stored = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), params)
    found = module.apply({"params": stored}, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    initial = module.init(jax.random.key(0), jnp.asarray(x, jnp.float32))["params"]
    assert {name: float(value[0]) for name, value in initial.items()} == {
        "scale": 1.0,
        "bias": 0.0,
        "mean": 0.0,
        "variance": 1.0,
    }


def test_flops_of_small_towers_are_those_counted_by_hand():
    oracle = thaw("resnet-basic")
    config = FAMILY.read(oracle.config, oracle.preprocessor)
    # 33 pixels: 17 after the stem's convolution, maps of 9 and 5.
    stem = 17 * 17 * 7 * 7 * 3 * 8
    first = 81 * 4 * 9 * 8 * 8
    second = 25 * (9 * 8 * 16 + 9 * 16 * 16 + 8 * 16)
    assert config.flops == (0, 2 * (stem + first + second))
    assert dataclasses.replace(config, trained_stages=1).flops == (2 * (stem + first), 2 * second)
    oracle = thaw("resnet-bottleneck")
    config = FAMILY.read(oracle.config, oracle.preprocessor)
    # 40 pixels: 20 after the stem's convolution, maps of 10 and 5; the first 1 x 1 is before the stride.
    stem = 20 * 20 * 7 * 7 * 3 * 8
    first = 100 * (8 * 4 + 9 * 4 * 4 + 4 * 16 + 8 * 16)
    second = 100 * 16 * 8 + 25 * (9 * 8 * 8 + 8 * 32 + 16 * 32)
    second += 25 * (32 * 8 + 9 * 8 * 8 + 8 * 32)
    assert config.flops == (0, 2 * (stem + first + second))
