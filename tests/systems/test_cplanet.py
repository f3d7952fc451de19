import dataclasses

import numpy as np
import pytest

from configs.cplanet import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.geo import sets_from_arrays
from geosurge_jax.systems.cplanet import build, intersection_log_prob, survey_sets
from tests.systems import contract_checks as checks

CONFIG = dataclasses.replace(
    checks.small(get_config("tiny")), max_images=(60, 60, 90), min_images=3
)


@pytest.fixture(scope="module")
def survey():
    return survey_sets(CONFIG, checks.training_places(), checks.small_hierarchy((100,)))


def test_loss_and_posterior_are_the_formulas(survey):
    system = build(CONFIG, checks.small_hierarchy((100,)), survey)
    sets = sets_from_arrays(survey)
    batch = checks.small_batch(system)
    batch["classes"][1] = (3, -1, 0)
    params = checks.made(system, batch)
    loss, metrics, posterior, _ = checks.check_contract(system, params, batch)
    vectors = checks.pooled(CONFIG, params, batch)
    log_probs = [
        checks.log_softmax(checks.linear_scores(vectors, params["table"], number, len(partition)))
        for number, partition in enumerate(sets.partitions)
    ]
    expected = [
        -sum(log_probs[n][photo, c] for n, c in enumerate(row) if c >= 0)
        for photo, row in enumerate(batch["classes"])
    ]
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_array_equal(metrics["loss/set_1"][1], batch["classes"][:, 1] >= 0)
    votes = np.sum([np.exp(log_probs[n])[:, sets.members[:, n]] for n in range(3)], axis=0)
    expected = np.log(votes / votes.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(posterior.log_prob, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(posterior.latlng, sets.latlng, atol=1e-4)


def test_a_product_of_probabilities_is_the_other_reading():
    rng = np.random.default_rng(0)
    scores = [rng.normal(size=(2, width)).astype(np.float32) for width in (4, 8)]
    members = np.array([[0, 0], [1, 4], [2, 4], [1, 1]], np.int32)
    logs = [checks.log_softmax(scores[0][:, :3]), checks.log_softmax(scores[1][:, :5])]
    summed = logs[0][:, members[:, 0]] + logs[1][:, members[:, 1]]
    for combination, expected in (
        ("log_probability", summed),
        (
            "probability",
            np.log(np.exp(logs[0])[:, members[:, 0]] + np.exp(logs[1])[:, members[:, 1]]),
        ),
    ):
        found = intersection_log_prob(scores, members, (3, 5), combination)  # pyright: ignore
        np.testing.assert_allclose(found, checks.log_softmax(expected), atol=1e-5)


def test_numbers_of_photos_scale_with_the_data():
    relative = dataclasses.replace(
        CONFIG, relative_to=1000, max_images=(120, 120, 180), min_images=6
    )
    hierarchy = checks.small_hierarchy((100,))
    expected = survey_sets(CONFIG, checks.training_places(), hierarchy)
    found = survey_sets(relative, checks.training_places(), hierarchy)
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("combination", "sum", "expected one of .'probability', 'log_probability'."),
        ("max_images", (), "expected a number of photos for each set"),
        ("max_images", (5, 0), "expected 1 or more"),
        ("compute_dtype", "float16", "expected one of .'float32', 'bfloat16'."),
    ],
)
def test_bad_values_are_named(field, value, expected):
    raw = get_config("tiny").to_dict()
    raw["system"][field] = value
    with pytest.raises(ValueError, match=rf"config.system.{field}(\[\d\])?=.*: {expected}"):
        parse(raw)
