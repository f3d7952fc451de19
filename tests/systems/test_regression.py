import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.regression import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.geo import great_circle_km
from geosurge_jax.systems.regression import build, chord_loss
from tests.systems import contract_checks as checks

CONFIG = checks.small(get_config("tiny"))


def test_loss_is_the_chord_to_the_place_that_is_answered():
    system = build(CONFIG, checks.small_hierarchy((100,)), {})
    batch = checks.small_batch(system)
    params = checks.made(system, batch)
    found, _, posterior, _ = checks.check_contract(system, params, batch)
    assert posterior.latlng.shape == (8, 1, 2) and not np.any(posterior.log_prob)
    # The chord of an angle is twice its half's sine.
    answered, truth = np.asarray(posterior.latlng[:, 0], np.float64), batch["latlng"].astype(float)
    chord = 2 * np.sin(great_circle_km(answered, truth) / 6371.0 / 2)
    np.testing.assert_allclose(found, chord**2, rtol=1e-4)
    place = {name: np.asarray(part, np.float64) for name, part in params["place"].items()}
    vectors = checks.pooled(CONFIG, params, batch) @ place["kernel"] + place["bias"]
    latitude = np.degrees(np.arctan2(vectors[:, 2], np.hypot(vectors[:, 0], vectors[:, 1])))
    longitude = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))
    np.testing.assert_allclose(answered, np.stack([latitude, longitude], axis=1), atol=1e-3)


def test_a_chord_that_is_not_squared_has_a_slope_at_the_truth():
    truth = jnp.asarray([[0.0, 0.6, 0.8], [1.0, 0.0, 0.0]])
    found = jnp.asarray([[0.0, 0.6, 0.8], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(chord_loss(found, truth, "chord"), [0, 2**0.5], atol=1e-5)
    np.testing.assert_allclose(chord_loss(found, truth, "squared_chord"), [0, 2], atol=1e-5)
    slope = jax.grad(lambda x: chord_loss(x, truth, "chord").sum())(found)
    np.testing.assert_allclose(slope[0], 0)
    np.testing.assert_allclose(slope[1], [-(0.5**0.5), 0, 0.5**0.5], rtol=1e-5)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("loss", "cosine", "expected one of .'squared_chord', 'chord'."),
        ("compute_dtype", "float16", "expected one of .'float32', 'bfloat16'."),
    ],
)
def test_bad_values_are_named(field, value, expected):
    raw = get_config("tiny").to_dict()
    raw["system"][field] = value
    with pytest.raises(ValueError, match=f"config.system.{field}={value!r}: {expected}"):
        parse(raw)
