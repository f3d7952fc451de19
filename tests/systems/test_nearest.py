import math

import jax
import numpy as np
import pytest

from configs.nearest import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.geo import great_circle_km
from geosurge_jax.systems.nearest import build, neighbour_posterior
from tests.systems import contract_checks as checks

CONFIG = checks.small(get_config("tiny"))
ROWS = 104


@pytest.fixture(scope="module")
def index():
    """Embeddings in a cap, so that similarities are alike, as those of photos are; the last 4 are padding."""
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(ROWS, CONFIG.embedding_width)) + 2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    valid = np.ones(ROWS, np.float32)
    valid[-4:] = 0
    return {
        "embedding": vectors.astype(np.float32),
        "latlng": checks.training_places()[:ROWS].astype(np.float32),
        "valid": valid,
    }


def twin(index, embedding):
    """Brute force in float64: places [B, k, 2] of the neighbours and the density's logarithm there."""
    squared = np.sum(
        (embedding[:, None] - index["embedding"][None].astype(np.float64)) ** 2, axis=-1
    )
    squared[:, index["valid"] == 0] = np.inf
    order = np.argsort(squared, axis=1)[:, : CONFIG.neighbours]
    weights = np.take_along_axis(squared, order, axis=1) ** -CONFIG.distance_power
    latlng = index["latlng"][order].astype(np.float64)
    degrees = np.degrees(great_circle_km(latlng[:, :, None], latlng[:, None]) / 6371.0)
    kernel = np.exp(-0.5 * (degrees / CONFIG.spread_degrees) ** 2)
    density = np.einsum("bij,bj->bi", kernel, weights)
    return latlng, np.log(density / density.sum(axis=1, keepdims=True))


def test_loss_and_posterior_are_the_formulas(index):
    hierarchy = checks.small_hierarchy((200, 20))
    system = build(CONFIG, hierarchy, {})
    assert system.index_rows is not None
    batch = checks.small_batch(system)
    params = checks.made(system, batch)
    loss, _, posterior, _ = checks.check_contract(system, params, batch, index)
    head = {name: np.asarray(part, np.float64) for name, part in params["head"].items()}
    vectors = checks.pooled(CONFIG, params, batch) @ head["kernel"] + head["bias"]
    expected = np.zeros(8)
    for level, partition in enumerate(hierarchy.partitions):
        scores = checks.linear_scores(vectors, params["table"], level, len(partition))
        cell = batch["cells"][:, level]
        picked = np.take_along_axis(checks.log_softmax(scores), np.maximum(cell, 0)[:, None], 1)
        expected -= np.where(cell >= 0, picked[:, 0], 0)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    embedding = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = jax.jit(system.index_rows)(params, batch)
    np.testing.assert_allclose(rows["embedding"], embedding, atol=1e-5)
    latlng, log_prob = twin(index, embedding)
    np.testing.assert_allclose(posterior.latlng, latlng, atol=1e-4)
    np.testing.assert_allclose(posterior.log_prob, log_prob, atol=2e-3)


def test_neighbours_close_together_outweigh_one_that_is_nearer():
    """What the kernel is for: four photos of one town against one elsewhere."""
    embedding = np.zeros((5, 3))
    angle = np.array([0.5, 0.51, 0.52, 0.53, 0.49])
    embedding[:, 0], embedding[:, 1] = np.cos(angle), np.sin(angle)
    latlng = np.array([[48.8, 2.3], [48.9, 2.4], [48.8, 2.4], [48.9, 2.2], [-33.9, 151.2]])
    index = {
        "embedding": embedding.astype(np.float32),
        "latlng": latlng.astype(np.float32),
        "valid": np.ones(5, np.float32),
    }
    query = np.array([[1.0, 0.0, 0.0]], np.float32)
    posterior = neighbour_posterior(CONFIG, query, index)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(posterior.latlng[0, 0], [-33.9, 151.2], atol=1e-4)
    best = posterior.latlng[0, int(np.argmax(posterior.log_prob[0]))]
    assert abs(float(best[0]) - 48.85) < 0.1
    alone = float(np.exp(posterior.log_prob[0, 0]))
    weights = (2 - 2 * np.cos(angle)) ** -CONFIG.distance_power
    # The four are within 15 km, a thirtieth of the kernel's width: each has the weight of all of them.
    assert alone == pytest.approx(weights[4] / (weights[4] + 4 * weights[:4].sum()), rel=0.02)


def test_fewer_photos_than_neighbours_leave_the_rest_without_weight(index):
    few = {name: value[:8].copy() for name, value in index.items()}
    few["valid"][3:] = 0
    query = index["embedding"][:2]
    config = CONFIG.__class__(**{**vars(CONFIG), "neighbours": 50})
    posterior = neighbour_posterior(config, query, few)
    assert posterior.log_prob.shape == (2, 8)
    np.testing.assert_allclose(np.exp(posterior.log_prob).sum(axis=1), 1, rtol=1e-5)
    assert np.all(np.isfinite(posterior.log_prob))
    assert float(np.exp(posterior.log_prob[:, 3:]).sum()) == 0.0
    assert math.isclose(float(posterior.latlng[0, 0, 0]), float(few["latlng"][0, 0]), rel_tol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("neighbours", 0, "expected 1 or more"),
        ("distance_power", -1.0, "expected 0 or more"),
        ("spread_degrees", 0.0, "expected above 0"),
        ("compute_dtype", "float16", "expected one of .'float32', 'bfloat16'."),
    ],
)
def test_bad_values_are_named(field, value, expected):
    raw = get_config("tiny").to_dict()
    raw["system"][field] = value
    with pytest.raises(ValueError, match=f"config.system.{field}={value!r}: {expected}"):
        parse(raw)
