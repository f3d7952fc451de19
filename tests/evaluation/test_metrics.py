"""Scores against formulas written here, and intervals against the theory of the bootstrap."""

import numpy as np
import pytest

from geosurge_jax import geo
from geosurge_jax.evaluation.chance import training_density_chance
from geosurge_jax.evaluation.errors import PhotoErrors
from geosurge_jax.evaluation.metrics import RADII_KM, summarize

KM_PER_DEGREE = 6371.0 * np.pi / 180


def errors_of(km, truth=(10.0, 20.0)):
    """Photos at one place whose predictions are `km` to the north or, beyond the pole, south of
    it."""
    km = np.asarray(km, np.float64)
    truth = np.tile(truth, (len(km), 1)).astype(np.float64)
    prediction = truth.copy()
    prediction[:, 0] = truth[:, 0] - km / KM_PER_DEGREE
    return PhotoErrors(np.arange(len(km)), truth, prediction)


def random_errors(count, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.uniform([-60, -180], [75, 180], (count, 2))
    step = rng.normal(size=(count, 2)) * 10.0 ** rng.uniform(-3, 1, (count, 1))
    prediction = np.clip(truth + step, [-90, -180], [90, 180])
    return PhotoErrors(rng.permutation(count), truth, prediction)


def haversine_km(a, b):
    (lat_a, lng_a), (lat_b, lng_b) = np.radians(a).T, np.radians(b).T
    h = np.sin((lat_b - lat_a) / 2) ** 2
    h += np.cos(lat_a) * np.cos(lat_b) * np.sin((lng_b - lng_a) / 2) ** 2
    return 2 * 6371.0 * np.arcsin(np.sqrt(h))


def test_scores_are_their_formulas():
    errors = random_errors(700)
    km = haversine_km(errors.truth, errors.prediction)
    summary = summarize(errors, bootstrap_samples=0)
    values = dict(summary.items())
    assert list(values) == [
        "accuracy/1km",
        "accuracy/25km",
        "accuracy/200km",
        "accuracy/750km",
        "accuracy/2500km",
        "median_km",
        "mean_km",
        "geoscore",
    ]
    for radius in RADII_KM:
        assert values[f"accuracy/{radius:g}km"] == np.mean(km <= radius)
    np.testing.assert_allclose(values["median_km"], np.median(km))
    np.testing.assert_allclose(values["mean_km"], np.mean(km))
    np.testing.assert_allclose(values["geoscore"], np.mean(5000 * np.exp(-km / 1492.7)))
    assert summary.scores.count == 700
    assert summary.scores.accuracy[0].low is None and summary.scores.geoscore.high is None


def test_a_photo_on_the_radius_counts_by_the_comparison():
    errors = errors_of([10.0, 3000.0])
    at = float(errors.distance_km(geo.DISTANCE_PROTOCOLS["sphere_6371"])[0])
    for comparison, share in (("<=", 0.5), ("<", 0.0)):
        summary = summarize(errors, "sphere_6371", comparison, (at,), 0)
        assert summary.comparison == comparison
        assert summary.scores.accuracy[0].value == share


def test_the_protocol_moves_accuracy():
    errors = errors_of([24.99] * 4)
    shares = {
        protocol: summarize(errors, protocol, bootstrap_samples=0).scores.accuracy[1].value
        for protocol in ("sphere_6371", "sphere_6378_137")
    }
    assert shares == {"sphere_6371": 1.0, "sphere_6378_137": 0.0}


def test_the_order_of_photos_does_not_matter():
    errors = random_errors(300)
    order = np.random.default_rng(5).permutation(300)
    shuffled = PhotoErrors(errors.index[order], errors.truth[order], errors.prediction[order])
    assert summarize(errors, bootstrap_samples=50) == summarize(shuffled, bootstrap_samples=50)


def test_intervals_are_those_of_the_binomial_and_depend_on_the_seed():
    """A resampled share of M photos is Binomial(M, p) / M; its 95 % interval is p +- 1.96 sd."""
    errors = errors_of(np.where(np.arange(400) < 120, 10.0, 5000.0))
    summary = summarize(errors, bootstrap_samples=4000, seed=3)
    accuracy = summary.scores.accuracy[1]
    assert accuracy.value == 0.3 and accuracy.low is not None and accuracy.high is not None
    half = 1.96 * np.sqrt(0.3 * 0.7 / 400)
    np.testing.assert_allclose([accuracy.low, accuracy.high], [0.3 - half, 0.3 + half], atol=0.004)
    mean_half = 1.96 * 4990 * np.sqrt(0.3 * 0.7 / 400)
    mean = summary.scores.mean_km
    assert mean.low is not None and mean.high is not None
    expected = [mean.value - mean_half, mean.value + mean_half]
    np.testing.assert_allclose([mean.low, mean.high], expected, rtol=0.01)
    assert summary == summarize(errors, bootstrap_samples=4000, seed=3)
    assert summary.bootstrap_samples == 4000 and summary.seed == 3
    spread = random_errors(50)
    one, other = (summarize(spread, bootstrap_samples=50, seed=seed).scores for seed in (0, 1))
    assert one.mean_km.value == other.mean_km.value and one.mean_km.low != other.mean_km.low


def test_continents_are_those_of_the_truth():
    paris, new_york, mid_atlantic = [48.86, 2.35], [40.71, -74.01], [0.0, -30.0]
    truth = np.array([paris, paris, new_york, mid_atlantic])
    prediction = np.array([paris, new_york, mid_atlantic, mid_atlantic])
    summary = summarize(PhotoErrors(np.arange(4), truth, prediction), bootstrap_samples=0)
    rows = {name: (scores.count, scores.accuracy[0].value) for name, scores in summary.continents}
    assert rows == {"Europe": (2, 0.5), "North America": (1, 0.0), "Elsewhere": (1, 1.0)}
    assert list(rows) == ["Europe", "North America", "Elsewhere"]


def test_an_interval_of_one_resampling_is_a_point():
    scores = summarize(random_errors(50), bootstrap_samples=1).scores
    for estimate in (*scores.accuracy, scores.median_km, scores.mean_km, scores.geoscore):
        assert estimate.low == estimate.high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "flat"}, "distance protocol is 'flat', expected one of sphere_6371, "),
        ({"comparison": "="}, "comparison is '='"),
        ({"radii_km": ()}, r"radii_km is \(\)"),
        ({"radii_km": (25, 1)}, "expected ascending"),
        ({"radii_km": (0, 1)}, "expected ascending positive"),
        ({"bootstrap_samples": -1}, "bootstrap_samples is -1"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        summarize(errors_of([1.0]), **arguments)


def test_no_photo_is_an_error():
    with pytest.raises(ValueError, match="no photo was scored"):
        summarize(PhotoErrors.empty())


def test_chance_is_the_mean_over_all_pairs():
    rng = np.random.default_rng(0)
    train, test = rng.normal([48, 10], [5, 20], (90, 2)), rng.normal([40, 0], [9, 30], (40, 2))
    pairs = haversine_km(np.repeat(test, 90, axis=0), np.tile(train, (40, 1)))
    chance = training_density_chance(train, test)
    np.testing.assert_allclose(chance.accuracy, [np.mean(pairs <= radius) for radius in RADII_KM])
    np.testing.assert_allclose(chance.mean_km, np.mean(pairs))
    np.testing.assert_allclose(chance.geoscore, np.mean(5000 * np.exp(-pairs / 1492.7)))
    assert chance.train_count == chance.sampled == 90 and chance.radii_km == RADII_KM


def test_chance_over_many_pairs_is_sampled_and_says_so():
    rng = np.random.default_rng(0)
    train, test = rng.uniform([-60, -180], [75, 180], (3000, 2)), rng.normal(size=(50, 2))
    whole = training_density_chance(train, test)
    assert (whole.train_count, whole.sampled) == (3000, 3000)
    sampled = training_density_chance(train, test, max_pairs=60_000)
    assert (sampled.train_count, sampled.sampled) == (3000, 1200)
    np.testing.assert_allclose(sampled.accuracy, whole.accuracy, atol=0.03)
    np.testing.assert_allclose(sampled.mean_km, whole.mean_km, rtol=0.05)
    assert sampled != training_density_chance(train, test, max_pairs=60_000, seed=1)


def test_the_sample_of_chance_holds_no_location_twice():
    train = np.stack([np.zeros(10), 2.0 ** np.arange(10) / 4], axis=-1)
    km = KM_PER_DEGREE * train[:, 1]
    chance = training_density_chance(train, np.zeros((1, 2)), max_pairs=9)
    left_out = np.sum(km) - 9 * chance.mean_km
    assert np.min(np.abs(left_out - km)) < 1e-6


def test_chance_goes_by_the_protocol():
    train, test = np.array([[0.0, 0.0]] * 2000), np.array([[0.0, 90.0]] * 50)
    chance = training_density_chance(train, test, "wgs84", max_pairs=100)
    assert chance.sampled == 2
    np.testing.assert_allclose(chance.mean_km, 6378.137 * np.pi / 2)


def test_chance_needs_locations():
    with pytest.raises(ValueError, match="0 training and 1 test"):
        training_density_chance(np.zeros((0, 2)), np.zeros((1, 2)))
