"""From posteriors to coordinates, against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.evaluation.crops import average_over_crops
from geosurge_jax.evaluation.decode import decide, parse_decision, top_locations
from geosurge_jax.systems.posterior import Posterior

DECISIONS = ("top", "accuracy@25km", "geoscore", "accuracy@750km", "distance")


def decided(posterior, names, points):
    """As one program: operation by operation it would be compiled a hundred times."""
    decisions = [parse_decision(name) for name in names]
    return np.asarray(jax.jit(lambda given: decide(given, decisions, points))(posterior))


@pytest.fixture(scope="module")
def posterior():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 9)).astype(np.float32)
    latlng = rng.uniform([-90, -180], [90, 180], (9, 2)).astype(np.float32)
    return Posterior(jnp.array(latlng), jax.nn.log_softmax(jnp.array(logits)))


def own_supports(posterior, seed=1):
    """The same answers over supports in an order of each photo's own."""
    rows, support = posterior.log_prob.shape
    rng = np.random.default_rng(seed)
    order = np.stack([rng.permutation(support) for _ in range(rows)])
    log_prob = np.take_along_axis(np.asarray(posterior.log_prob), order, axis=1)
    return Posterior(jnp.asarray(np.asarray(posterior.latlng)[order]), jnp.asarray(log_prob))


@pytest.mark.parametrize("k", [1, 3, 9])
def test_top_locations_are_the_likeliest_in_order(posterior, k):
    latlng, log_prob = jax.jit(top_locations, static_argnums=1)(posterior, k)
    assert latlng.shape == (4, k, 2) and log_prob.shape == (4, k)
    order = np.argsort(-np.asarray(posterior.log_prob), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(latlng, np.asarray(posterior.latlng)[order])
    np.testing.assert_array_equal(
        log_prob, np.take_along_axis(np.asarray(posterior.log_prob), order, axis=1)
    )
    np.testing.assert_array_equal(top_locations(own_supports(posterior), k)[0], latlng)


def test_ties_go_to_the_lower_index():
    posterior = Posterior(jnp.arange(6.0).reshape(3, 2), jnp.log(jnp.array([[0.2, 0.4, 0.4]])))
    latlng, _ = top_locations(posterior, 2)
    np.testing.assert_array_equal(latlng, [[[2.0, 3.0], [4.0, 5.0]]])


@pytest.mark.parametrize("k", [0, 10])
def test_k_is_checked(posterior, k):
    with pytest.raises(ValueError, match=f"k is {k}, expected 1 to 9"):
        top_locations(posterior, k)


def vectors(latlng):
    lat, lng = np.radians(np.asarray(latlng, np.float64)).T
    return np.stack([np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)], axis=-1)


def kilometres(a, b):
    """Between unit vectors, by the half-angle form that is exact near and far."""
    return 2 * 6371.0 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))


UTILITIES = {
    "accuracy@25km": lambda km: (km <= 25).astype(float),
    "accuracy@750km": lambda km: (km <= 750).astype(float),
    "geoscore": lambda km: 5000 * np.exp(-km / 1492.7),
    "distance": lambda km: -km,
}


def worth(answer, support, probability, name):
    """Expected worth of one answer, in float64."""
    km = kilometres(vectors(answer[None]), vectors(support))
    return float(np.sum(probability * UTILITIES[name](km)))


@pytest.fixture(scope="module")
def clustered():
    """Six posteriors over 150 places in towns of their own: what is likeliest is seldom what is best."""
    rng = np.random.default_rng(2)
    towns = rng.uniform([-60, -180], [70, 180], (12, 2))
    towns[1] = towns[0] + [1.0, 3.0]
    latlng = towns[rng.integers(0, 12, 150)] + rng.normal(size=(150, 2)) * 0.15
    latlng[:, 1] = (latlng[:, 1] + 180) % 360 - 180
    log_prob = jax.nn.log_softmax(jnp.asarray(rng.normal(size=(6, 150)) * 1.5, jnp.float32))
    return Posterior(jnp.asarray(latlng, jnp.float32), log_prob)


def best_worth(latlng, probability, points, name):
    """Worth of the best of the likeliest points and their mean, by trying all, in float64."""
    kept = np.argsort(-probability, kind="stable")[:points]
    support, weight = latlng[kept], probability[kept]
    mean = np.sum(vectors(support) * weight[:, None], axis=0)
    x, y, z = mean
    middle = np.degrees([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)])
    candidates = [*support, middle]
    return max(worth(np.asarray(each), support, weight, name) for each in candidates), kept


@pytest.mark.parametrize("points", [1, 40, 512])
@pytest.mark.parametrize("own", [False, True])
def test_answers_are_as_good_as_the_best_by_brute_force(clustered, points, own):
    given = own_supports(clustered) if own else clustered
    answers = decided(given, DECISIONS, points)
    assert answers.shape == (6, 5, 2)
    np.testing.assert_array_equal(answers[:, 0], top_locations(given, 1)[0][:, 0])
    latlng = np.asarray(clustered.latlng, np.float64)
    for photo, probability in enumerate(np.exp(np.asarray(clustered.log_prob, np.float64))):
        for place, name in enumerate(DECISIONS[1:], start=1):
            best, kept = best_worth(latlng, probability, points, name)
            found = worth(answers[photo, place], latlng[kept], probability[kept], name)
            assert found == pytest.approx(best, rel=1e-5, abs=1e-6), (photo, name)


def test_decisions_differ_where_a_crowd_outweighs_the_likeliest_point():
    """A lone place of 30 % against seven neighbours of 10 %, 10 km apart: each score has its own answer."""
    north = 10 / (6371.0 * np.pi / 180)
    crowd = np.stack([np.arange(7) * north, np.full(7, 20.0)], axis=-1)
    latlng = jnp.asarray(np.concatenate([[[50.0, -120.0]], crowd]), jnp.float32)
    posterior = Posterior(latlng, jnp.log(jnp.asarray([[0.3] + [0.1] * 7])))
    names = ("top", "accuracy@5km", "accuracy@31km", "geoscore")
    answers = decided(posterior, names, 8)[0]
    lone, crowd = np.asarray(latlng[0]), np.asarray(latlng[1:])
    np.testing.assert_array_equal(answers[:2], [lone, lone])
    np.testing.assert_array_equal(answers[2:], [crowd[3], crowd[3]])


def test_the_mean_is_an_answer_of_its_own():
    """Three places on a ring around the pole: the pole is nearest to all, and no support point."""
    latlng = jnp.asarray([[80.0, 0.0], [80.0, 120.0], [80.0, -120.0]])
    posterior = Posterior(latlng, jnp.log(jnp.full((1, 3), 1 / 3)))
    answers = decided(posterior, ("accuracy@1200km", "top"), 3)
    assert float(answers[0, 0, 0]) == pytest.approx(90, abs=1e-3)
    np.testing.assert_array_equal(answers[0, 1], latlng[0])


def test_points_that_cancel_have_no_mean_and_still_an_answer():
    latlng = jnp.asarray([[0.0, 0.0], [0.0, -180.0]])
    posterior = Posterior(latlng, jnp.log(jnp.full((1, 2), 0.5)))
    answers = decided(posterior, ("geoscore", "distance"), 2)
    np.testing.assert_allclose(answers[0], [[0.0, 0.0]] * 2, atol=1e-4)


@pytest.mark.parametrize("name", ["best", "accuracy@km", "accuracy@0km", "accuracy@25", "Top"])
def test_unknown_decisions_are_named(name):
    with pytest.raises(ValueError, match=f"decision is '{name}', expected 'top', "):
        parse_decision(name)


@pytest.mark.parametrize("crops", [1, 5, 10])
def test_crops_average_probabilities(crops):
    rng = np.random.default_rng(crops)
    probability = rng.dirichlet(np.full(7, 0.05), 3 * crops)  # peaked: a mean of logarithms differs
    log_prob = jnp.array(np.log(np.maximum(probability, 1e-30)), jnp.float32)
    latlng = jnp.asarray(rng.uniform(-60, 60, (7, 2)), jnp.float32)
    averaged = jax.jit(average_over_crops, static_argnums=1)(Posterior(latlng, log_prob), crops)
    expected = probability.reshape(3, crops, 7).mean(axis=1)
    found = np.exp(np.asarray(averaged.log_prob, np.float64))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    # Each crop's own support: the same masses once equal places are put together.
    own = Posterior(jnp.broadcast_to(latlng[None], (3 * crops, 7, 2)), log_prob)
    mixture = average_over_crops(own, crops)
    assert mixture.latlng.shape == (3, crops * 7, 2)
    np.testing.assert_array_equal(mixture.latlng[1], np.tile(latlng, (crops, 1)))
    together = np.exp(np.asarray(mixture.log_prob, np.float64)).reshape(3, crops, 7).sum(axis=1)
    np.testing.assert_allclose(together, expected, atol=2e-6)


def test_a_crop_that_rules_a_place_out_does_not_rule_it_out_for_the_photo():
    latlng = jnp.zeros((2, 2))
    log_prob = jnp.array([[0.0, -jnp.inf], [-jnp.inf, 0.0]])
    averaged = average_over_crops(Posterior(latlng, log_prob), 2).log_prob
    np.testing.assert_allclose(averaged, [[np.log(0.5)] * 2])
    nowhere = average_over_crops(Posterior(latlng, jnp.array([[0.0, -jnp.inf]] * 2)), 2).log_prob
    np.testing.assert_array_equal(nowhere, [[0.0, -np.inf]])


@pytest.mark.parametrize("crops", [0, 4])
def test_rows_must_be_whole_photos(crops):
    with pytest.raises(ValueError, match=f"10 rows of log_prob are no multiple of crops={crops}"):
        average_over_crops(Posterior(jnp.zeros((3, 2)), jnp.zeros((10, 3))), crops)
