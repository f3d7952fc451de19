import dataclasses

import numpy as np
import pytest

from configs.mvmf import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.systems.mvmf import build, log_support_weights
from tests.systems import contract_checks as checks

CONFIG = dataclasses.replace(checks.small(get_config("tiny")), initial_spread_km=2000.0)


@pytest.fixture(scope="module")
def hierarchy():
    return checks.small_hierarchy((20,))


def places(latlng):
    latitude, longitude = np.radians(np.asarray(latlng, np.float64)).T
    cosine = np.cos(latitude)
    return np.stack([cosine * np.cos(longitude), cosine * np.sin(longitude), np.sin(latitude)], 1)


def test_loss_and_posterior_are_the_formulas(hierarchy):
    system = build(CONFIG, hierarchy, {})
    batch = checks.small_batch(system)
    params = checks.made(system, batch)
    rng = np.random.default_rng(3)
    start = params["components"]
    rows = len(start["direction"])
    components = params["components"] = {
        "direction": start["direction"] * rng.uniform(0.5, 2.0, (rows, 1)).astype(np.float32),
        "log_concentration": start["log_concentration"] + rng.normal(size=rows).astype(np.float32),
    }
    loss, _, posterior, _ = checks.check_contract(system, params, batch)
    count = len(hierarchy.partitions[0])
    vectors = checks.pooled(CONFIG, params, batch)
    weights = np.exp(checks.log_softmax(checks.linear_scores(vectors, params["table"], 0, count)))
    centres = places(hierarchy.partitions[0].latlng)
    concentration = np.exp(np.asarray(components["log_concentration"], np.float64)[:count])

    def density(points):
        normalizer = concentration / (4 * np.pi * np.sinh(concentration))
        return normalizer[None] * np.exp(concentration[None] * (points @ centres.T))

    expected = -np.log(np.sum(weights * density(places(batch["latlng"])), axis=1))
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-3)
    on_support = weights @ density(centres).T
    expected = np.log(on_support / on_support.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(posterior.log_prob, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(posterior.latlng, hierarchy.partitions[0].latlng, atol=1e-4)


def test_mass_weighs_a_cell_by_its_level(hierarchy):
    """A child has a quarter of its parent's area, as they come on average over the sphere."""
    assert not log_support_weights(hierarchy, "density").any()
    hierarchy = checks.small_hierarchy((8,))
    ids = hierarchy.partitions[0].ids
    weights = np.exp(log_support_weights(hierarchy, "mass"))
    trailing = np.array([int(cell & -cell).bit_length() - 1 for cell in ids.astype(object)])
    level = 30 - trailing // 2
    np.testing.assert_allclose(weights, 1 / (6.0 * 4.0**level), rtol=1e-5)
    assert len(set(level)) > 1


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("initial_spread_km", 0.0, "expected above 0"),
        ("support_weights", "area", "expected one of .'density', 'mass'."),
        ("compute_dtype", "float16", "expected one of .'float32', 'bfloat16'."),
    ],
)
def test_bad_values_are_named(field, value, expected):
    raw = get_config("tiny").to_dict()
    raw["system"][field] = value
    with pytest.raises(ValueError, match=f"config.system.{field}={value!r}: {expected}"):
        parse(raw)
