import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.geo import build_hierarchy
from geosurge_jax.models.geocell_table import MASKED_SCORE
from geosurge_jax.systems.hierarchical import (
    hierarchical_log_prob,
    hierarchical_loss,
    level_cross_entropy,
)


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(5, k)) * 3 for k in (4, 9)]


def test_loss_is_the_sum_of_masked_cross_entropies(scores):
    labels = np.array([[0, 8], [3, -1], [-1, -1], [1, 2], [2, 0]], np.int32)
    loss, metrics = hierarchical_loss(
        [jnp.asarray(s, jnp.float32) for s in scores], jnp.asarray(labels), "level"
    )
    expected = np.zeros(5)
    for level, level_scores in enumerate(scores):
        for photo, label in enumerate(labels[:, level]):
            if label >= 0:
                expected[photo] -= log_softmax(level_scores)[photo, label]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert float(loss[2]) == 0.0
    value, weight = metrics["accuracy/level_1"]
    np.testing.assert_array_equal(weight, [1, 0, 0, 1, 1])
    right = (scores[1].argmax(1) == labels[:, 1])[[0, 3, 4]]
    np.testing.assert_array_equal(np.asarray(value)[[0, 3, 4]], right)


def test_batch_negatives_are_the_cells_of_the_batch(scores):
    labels = np.array([0, 2, 2, -1, 0], np.int32)
    loss, _ = level_cross_entropy(jnp.asarray(scores[1], jnp.float32), jnp.asarray(labels), "batch")
    reduced = log_softmax(scores[1][:, [0, 2]])
    expected = [-reduced[0, 0], -reduced[1, 1], -reduced[2, 1], 0.0, -reduced[4, 0]]
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def hierarchy():
    rng = np.random.default_rng(3)
    points = np.stack([rng.uniform(-60, 60, 400), rng.uniform(-180, 179, 400)], axis=1)
    lonely = np.repeat([[80.0, 10.0]], 7, axis=0) + rng.normal(size=(7, 2)) * 0.01
    # A coarse cell that keeps too few photos for its level but whose child is kept cannot come from one
    # tau_min; two builds linked together make one, as importing published partitions does.
    from geosurge_jax.geo import build_partition, link_partitions

    coarse = build_partition(points, max_images=80, min_images=5)
    fine = build_partition(np.concatenate([points, lonely]), max_images=30, min_images=5)
    linked = link_partitions([coarse, fine])
    assert (linked.ancestors[:, 0] < 0).any()
    return linked


@pytest.mark.parametrize("rule", ["mean", "skip"])
def test_posterior_multiplies_a_cell_with_its_ancestors(hierarchy, rule):
    rng = np.random.default_rng(4)
    cells = [len(p.ids) for p in hierarchy.partitions]
    scores = [rng.normal(size=(3, k)) * 2 for k in cells]
    padded = [
        jnp.asarray(np.pad(s, ((0, 0), (0, 3)), constant_values=MASKED_SCORE), jnp.float32)
        for s in scores
    ]
    log_prob = [log_softmax(s) for s in scores]
    expected = np.zeros((3, cells[-1]))
    for cell in range(cells[-1]):
        present = [
            log_prob[level][:, ancestor]
            for level, ancestor in enumerate(hierarchy.ancestors[cell])
            if ancestor >= 0
        ]
        expected[:, cell] = sum(present)
        if rule == "mean":
            expected[:, cell] += (2 - len(present)) * np.mean(present, axis=0)
    np.testing.assert_allclose(
        hierarchical_log_prob(padded, hierarchy, rule), log_softmax(expected), atol=2e-5
    )


def test_a_single_level_is_its_own_softmax():
    rng = np.random.default_rng(5)
    points = np.stack([rng.uniform(-60, 60, 100), rng.uniform(-180, 179, 100)], axis=1)
    hierarchy = build_hierarchy(points, max_images=(20,), min_images=2)
    scores = rng.normal(size=(2, len(hierarchy.partitions[0].ids)))
    np.testing.assert_allclose(
        hierarchical_log_prob([jnp.asarray(scores, jnp.float32)], hierarchy, "mean"),
        log_softmax(scores),
        atol=1e-5,
    )
