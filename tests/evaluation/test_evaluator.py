import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from geosurge_jax import geo
from geosurge_jax.evaluation.evaluator import (
    Evaluator,
    make_answer,
    make_losses,
    make_predict,
    make_prepare,
)
from geosurge_jax.evaluation.scoring import Scoring
from geosurge_jax.evaluation.settings import EvaluationConfig
from geosurge_jax.systems.contract import FlopsPerPhoto, System
from geosurge_jax.systems.posterior import Posterior
from geosurge_jax.training.mesh import MeshConfig, make_mesh, put_batch

CONFIG = EvaluationConfig(
    datasets=(),
    checkpoint="best",
    batch_size=8,
    crops=1,
    protocol="sphere_6371",
    comparison="<=",
    bootstrap_samples=50,
    top_k=2,
    decisions=("distance", "top"),
    decision_points=16,
    calibration_grid=(9, 18),
    calibration_floor=0.05,
    maps="",
)
SUPPORT = np.array([[10.0, 20.0], [-30.0, 40.0], [50.0, -60.0]], np.float32)


def stub_system():
    """A system whose logits are the mean of each colour channel; loss is the first pixel."""

    def logits(batch):
        return jnp.mean(batch["image"].astype(jnp.float32), axis=(1, 2)) / 64

    def loss(params, memory, batch, key):
        assert key is None and memory == {}
        value = batch["image"][:, 0, 0, 0].astype(jnp.float32)
        return value, {"right": (batch["cells"].astype(jnp.float32), jnp.ones_like(value))}

    return System(
        name="stub",
        init=lambda key, batch: {},
        loss=loss,
        posterior=lambda params, prepared, batch: Posterior(
            jnp.asarray(SUPPORT), jax.nn.log_softmax(logits(batch))
        ),
        targets=lambda latlng: {},
        partition_rules=((".", PartitionSpec()),),
        frozen_rules=(),
        towers={},
        flops=FlopsPerPhoto(1, 3),
        description=(),
    )


@pytest.fixture(scope="module")
def batches():
    """Two batches of 8 with two crops; 5 photos in the second, one of them unreadable."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, 8, 2, 4, 4, 3)).astype(np.uint8)
    index = np.arange(16, dtype=np.int32).reshape(2, 8)
    index[1, 5:] = -1
    mask = (index >= 0).astype(np.float32)
    mask[1, 2] = 0
    cells = rng.integers(0, 2, (2, 8)).astype(np.int32)
    return [
        {"image": i, "segmentation": i[..., 0], "index": n, "mask": m, "cells": c}
        for i, n, m, c in zip(image, index, mask, cells, strict=True)
    ]


@pytest.fixture(scope="module")
def evaluator():
    mesh = make_mesh(MeshConfig(-1, 1, 1))
    system = stub_system()

    def put(batch):
        return put_batch(mesh, batch)

    return Evaluator(
        CONFIG,
        make_predict(system, mesh, CONFIG),
        make_answer(system, mesh, CONFIG),
        make_losses(system, mesh),
        make_prepare(system, mesh, put),
        put,
    )


def expected_probabilities(batches):
    image = np.concatenate([batch["image"] for batch in batches]).astype(np.float64)
    logits = image.mean(axis=(2, 3)) / 64
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).mean(axis=1)


def nearest(probabilities):
    """Of the three places and their mean the one from which the expected distance is the smallest."""
    vectors = geo.unit_vectors(SUPPORT.astype(np.float64))
    answers = []
    for probability in probabilities:
        mean = geo.latlng_from_unit_vectors(probability @ vectors)
        candidates = np.concatenate([SUPPORT, mean[None]])
        km = geo.great_circle_km(candidates[:, None], SUPPORT[None].astype(np.float64))
        answers.append(candidates[np.argmin(km @ probability)])
    return np.array(answers)


def test_every_readable_photo_counts_once(evaluator, batches):
    truth = np.random.default_rng(1).uniform(-60, 60, (13, 2))
    errors, means = evaluator.run({}, {}, batches, truth)
    counted = [i for i in range(13) if i != 10]
    assert sorted(errors.index.tolist()) == counted
    order = np.argsort(errors.index)
    np.testing.assert_array_equal(errors.truth[order], truth[counted])
    np.testing.assert_allclose(
        errors.prediction[order], nearest(expected_probabilities(batches)[counted]), atol=1e-3
    )
    flat = {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}
    kept = flat["mask"] > 0
    assert means["loss"] == pytest.approx(flat["image"][kept, :, 0, 0, 0].mean())
    assert means["right"] == pytest.approx(flat["cells"][kept].mean())


@pytest.fixture(scope="module")
def scored(evaluator, batches):
    truth = np.random.default_rng(1).uniform(-60, 60, (13, 2))
    truth[:6] = SUPPORT[[0, 1, 2, 0, 1, 2]]
    return evaluator.score({}, {}, batches, truth), truth


def test_scoring_answers_under_every_decision_and_calibrates(scored, batches):
    photos, truth = scored
    counted = [i for i in range(13) if i != 10]
    probabilities = expected_probabilities(batches)[counted]
    assert list(photos.errors) == ["distance", "top"]
    top = photos.errors["top"].in_order()
    np.testing.assert_array_equal(top.index, counted)
    np.testing.assert_allclose(top.prediction, SUPPORT[probabilities.argmax(axis=1)])
    distance = photos.errors["distance"].in_order()
    np.testing.assert_allclose(distance.prediction, nearest(probabilities), atol=1e-3)
    # The three places lie in cells of their own, and no other truth in any of them.
    of_truth = np.zeros(12)
    of_truth[:6] = probabilities[np.arange(6), [0, 1, 2, 0, 1, 2]]
    density = np.log(0.95 * of_truth * 162 + 0.05)
    cells = CONFIG.grid.assign(np.concatenate([SUPPORT, truth[6:]]).astype(np.float64))
    assert not set(cells[:3]) & set(cells[3:]) and len(set(cells[:3])) == 3
    np.testing.assert_allclose(photos.calibration.log_likelihood, density, rtol=1e-4)
    np.testing.assert_allclose(photos.calibration.top_mass, probabilities.max(axis=1), rtol=1e-5)


def test_floors_stand_beside_the_system_on_the_same_photos(scored):
    photos, truth = scored
    train = np.repeat(truth, [5] * 12 + [15], axis=0)  # most photos in the far north
    hierarchy = geo.build_hierarchy(train, (40, 20), 5, min_level=4)
    results = Scoring(CONFIG, 3, hierarchy, truth).results(photos)
    assert results.chance is not None and results.chance.train_count == 13
    counts = {scored.summary.scores.count for scored in (results.system, *results.floors.values())}
    assert counts == {12} and list(results.floors) == ["random", "training density"]
    density = results.floors["training density"].answers
    means = {name: summary.scores.mean_km.value for name, summary in density.items()}
    assert list(means) == ["distance", "top"] and means["distance"] < means["top"]
