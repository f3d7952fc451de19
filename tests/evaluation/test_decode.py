"""From posteriors to coordinates, against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.evaluation.crops import average_over_crops
from geosurge_jax.evaluation.decode import top_locations
from geosurge_jax.systems.posterior import Posterior


@pytest.fixture(scope="module")
def posterior():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 9)).astype(np.float32)
    latlng = rng.uniform([-90, -180], [90, 180], (9, 2)).astype(np.float32)
    return Posterior(jnp.array(latlng), jax.nn.log_softmax(jnp.array(logits)))


@pytest.mark.parametrize("k", [1, 3, 9])
def test_top_locations_are_the_likeliest_in_order(posterior, k):
    latlng, log_prob = jax.jit(top_locations, static_argnums=1)(posterior, k)
    assert latlng.shape == (4, k, 2) and log_prob.shape == (4, k)
    order = np.argsort(-np.asarray(posterior.log_prob), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(latlng, np.asarray(posterior.latlng)[order])
    np.testing.assert_array_equal(
        log_prob, np.take_along_axis(np.asarray(posterior.log_prob), order, axis=1)
    )


def test_ties_go_to_the_lower_index():
    posterior = Posterior(jnp.arange(6.0).reshape(3, 2), jnp.log(jnp.array([[0.2, 0.4, 0.4]])))
    latlng, _ = top_locations(posterior, 2)
    np.testing.assert_array_equal(latlng, [[[2.0, 3.0], [4.0, 5.0]]])


@pytest.mark.parametrize("k", [0, 10])
def test_k_is_checked(posterior, k):
    with pytest.raises(ValueError, match=f"k is {k}, expected 1 to 9"):
        top_locations(posterior, k)


@pytest.mark.parametrize("crops", [1, 5, 10])
def test_crops_average_probabilities(crops):
    rng = np.random.default_rng(crops)
    probability = rng.dirichlet(np.full(7, 0.05), 3 * crops)  # peaked: a mean of logarithms differs
    averaged = jax.jit(average_over_crops, static_argnums=1)(
        jnp.array(np.log(np.maximum(probability, 1e-30)), jnp.float32), crops
    )
    expected = probability.reshape(3, crops, 7).mean(axis=1)
    np.testing.assert_allclose(np.exp(np.asarray(averaged, np.float64)), expected, atol=2e-6)


def test_a_crop_that_rules_a_place_out_does_not_rule_it_out_for_the_photo():
    log_prob = jnp.array([[0.0, -jnp.inf], [-jnp.inf, 0.0]])
    np.testing.assert_allclose(average_over_crops(log_prob, 2), [[np.log(0.5)] * 2])
    nowhere = average_over_crops(jnp.array([[0.0, -jnp.inf]] * 2), 2)
    np.testing.assert_array_equal(nowhere, [[0.0, -np.inf]])


@pytest.mark.parametrize("crops", [0, 4])
def test_rows_must_be_whole_photos(crops):
    with pytest.raises(ValueError, match=f"10 rows of log_prob are no multiple of crops={crops}"):
        average_over_crops(jnp.zeros((10, 3)), crops)
