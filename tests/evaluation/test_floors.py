"""Floors against geometry and against counting."""

import numpy as np
import pytest

from geosurge_jax import geo
from geosurge_jax.evaluation.calibration import EqualAreaGrid
from geosurge_jax.evaluation.decode import parse_decision
from geosurge_jax.evaluation.floors import random_photos, training_density
from geosurge_jax.evaluation.metrics import summarize


def test_random_answers_score_what_the_areas_of_caps_say():
    truth = np.random.default_rng(0).uniform([-80, -180], [80, 180], (20_000, 2))
    summary = summarize(random_photos(truth, 5), bootstrap_samples=0)
    for radius, accuracy in zip(summary.radii_km, summary.scores.accuracy, strict=True):
        cap = (1 - np.cos(radius / 6371.0)) / 2
        assert abs(accuracy.value - cap) < 4 * np.sqrt(cap / 20_000)
    assert summary.scores.mean_km.value == pytest.approx(np.pi / 2 * 6371.0, rel=0.01)
    assert not np.array_equal(
        random_photos(truth, 5).prediction, random_photos(truth, 6).prediction
    )


@pytest.fixture(scope="module")
def partition():
    """A lone town of 60 photos, and ten towns of 30 within 300 km of each other."""
    crowd = np.stack([np.linspace(40, 42.5, 10), np.full(10, 10.7)], axis=-1)
    places = np.concatenate([[[-30.0, 140.7]], crowd])
    return geo.build_partition(np.repeat(places, [60] + [30] * 10, axis=0), 60, 5, min_level=12)


def test_the_constant_answer_is_the_best_under_each_decision(partition):
    decisions = [parse_decision(name) for name in ("top", "accuracy@200km", "geoscore")]
    density = training_density(partition, decisions, 512)
    np.testing.assert_allclose(density.answers[0], [-30, 140.7], atol=1e-4)
    assert np.all(np.abs(density.answers[1:] - [41.25, 10.7]) < [0.6, 0.1])
    truth = np.repeat(partition.latlng, partition.counts, axis=0)
    summaries = [summarize(density.photos(truth, place), bootstrap_samples=0) for place in range(3)]
    within_200 = [summary.scores.accuracy[2].value for summary in summaries]
    assert within_200[0] == pytest.approx(60 / 360) and within_200[1] == pytest.approx(300 / 360)
    assert summaries[2].scores.geoscore.value > summaries[0].scores.geoscore.value


def test_the_constant_posterior_is_calibrated_on_its_own_photos(partition):
    grid = EqualAreaGrid(90, 180)
    density = training_density(partition, [parse_decision("top")], 512)
    truth = np.repeat(partition.latlng, partition.counts, axis=0)
    photos = density.calibration(truth, grid, 0.01)
    cells, counts = np.unique(grid.assign(truth), return_counts=True)
    share = counts / counts.sum()
    expected = np.log(0.99 * share * grid.cells + 0.01)[np.searchsorted(cells, grid.assign(truth))]
    np.testing.assert_allclose(photos.log_likelihood, expected, rtol=1e-5)
    np.testing.assert_allclose(photos.top_mass, share.max(), rtol=1e-5)
    assert photos.top_hit.mean() == pytest.approx(share.max())
