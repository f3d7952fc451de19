import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.geoclip import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.models.location_encoder import LocationEncoder
from geosurge_jax.models.projection_head import ProjectionHead, ProjectionHeadConfig
from geosurge_jax.models.towers import make_tower
from geosurge_jax.systems.geoclip import build, survey
from geosurge_jax.training.layout import plan_layout
from geosurge_jax.training.mesh import MeshConfig, make_mesh
from geosurge_jax.training.parameters import flatten, merge, split_frozen

SIDE, PHOTOS = 16, 8


def small_config():
    config = get_config("tiny")
    config.system.visual.preprocessing.image_size = SIDE
    config.system.queue = 6
    return parse(config.to_dict()).system


CONFIG = small_config()


@pytest.fixture(scope="module")
def places():
    rng = np.random.default_rng(0)
    return np.stack([rng.uniform(-70, 70, 90), rng.uniform(-180, 179, 90)], axis=1)


@pytest.fixture(scope="module")
def system(places):
    return build(CONFIG, None, survey(CONFIG, places, None))


@pytest.fixture(scope="module")
def batch(places):
    rng = np.random.default_rng(1)
    mask = np.ones(PHOTOS, np.float32)
    mask[2] = 0
    return {
        "image": rng.integers(0, 256, (PHOTOS, SIDE, SIDE, 3)).astype(np.uint8),
        "segmentation": np.zeros((PHOTOS, SIDE, SIDE), np.uint8),
        "latlng": places[:PHOTOS].astype(np.float32),
        "mask": mask,
    }


@pytest.fixture(scope="module")
def params(system, batch):
    return system.init(jax.random.key(0), batch)


def unit(x):
    x = np.asarray(x, np.float64)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def vectors(params, batch, latlng):
    """Unit vectors, float64, of photos and places: by the parts, which have oracles of their own."""
    tower = make_tower(CONFIG.visual, jnp.dtype("float32"))
    pooled = tower.apply({"params": params["visual"]}, batch["image"], train=False).pooled
    photo = ProjectionHead(CONFIG.head).apply({"params": params["head"]}, pooled)
    encoder = LocationEncoder(CONFIG.location)
    place = encoder.apply({"params": params["location"]}, jnp.asarray(latlng, jnp.float32))
    return unit(photo), unit(place)


def test_the_loss_is_the_cross_entropy_among_batch_and_queue(system, params, batch, places):
    older = {"latlng": jnp.asarray(places[20:24], jnp.float32), "mask": jnp.array([1.0, 0, 1, 1])}
    memory = system.remember(system.memory(), older)
    loss, metrics = system.loss(params, memory, batch, None)
    latlng = np.concatenate([batch["latlng"], places[20:24]])
    photo, place = vectors(params, batch, latlng)
    counts = np.array([1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1], bool)
    scale = math.exp(float(params["log_scale"]))
    scores = scale * photo @ place.T
    scores[:, ~counts] = -np.inf
    expected = np.log(np.exp(scores).sum(axis=1)) - np.diagonal(scores)
    read = batch["mask"] > 0
    np.testing.assert_allclose(np.asarray(loss)[read], expected[read], rtol=1e-4, atol=1e-4)
    hit = np.diagonal(scores) >= scores.max(axis=1)
    np.testing.assert_array_equal(np.asarray(metrics["accuracy/candidates"][0])[read], hit[read])
    assert np.all(np.isfinite(loss)) and scale == pytest.approx(1 / 0.07)


def test_the_posterior_is_a_softmax_over_the_gallery(system, params, batch):
    prepared = system.prepare(params, {})
    posterior = system.posterior(params, prepared, batch)
    photo, place = vectors(params, batch, posterior.latlng)
    scores = math.exp(float(params["log_scale"])) * photo @ place.T
    expected = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(posterior.log_prob, expected, atol=1e-4)


def test_a_sentence_goes_through_the_head_alone(system, params, batch):
    prepared = system.prepare(params, {})
    sentences = np.random.default_rng(3).normal(size=(8, CONFIG.visual.projection))
    posterior = system.query(params, prepared, jnp.asarray(sentences, jnp.float32))
    head = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["head"])
    hidden = np.maximum(sentences @ head["up"]["kernel"] + head["up"]["bias"], 0)
    asked = unit(hidden @ head["down"]["kernel"] + head["down"]["bias"])
    _, place = vectors(params, batch, posterior.latlng)
    scores = math.exp(float(params["log_scale"])) * asked @ place.T
    expected = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(posterior.log_prob, expected, atol=1e-4)


def test_noise_needs_a_key_and_follows_it(system, params, batch):
    loss = jax.jit(lambda key: system.loss(params, system.memory(), batch, key)[0])
    quiet = np.asarray(system.loss(params, system.memory(), batch, None)[0])
    first, again, second = (np.asarray(loss(jax.random.key(number))) for number in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - quiet).max() > 1e-6 and np.abs(first - second).max() > 1e-6


def test_every_parameter_has_its_rule_and_frequencies_stay(system, params, batch):
    mesh = make_mesh(MeshConfig(2, 2, 2))
    plan_layout(params, system.partition_rules, mesh)
    trained, frozen = split_frozen(params, system.frozen_rules)
    assert all(path.endswith("frequencies") for path in flatten(frozen))

    def total(part):
        return system.loss(merge(part, frozen), system.memory(), batch, None)[0].sum()

    gradients = flatten(jax.jit(jax.grad(total))(trained))
    still = [path for path, gradient in gradients.items() if not np.abs(gradient).max() > 0]
    # A key's bias changes all scores of a query alike, which a softmax does not see.
    assert not [path for path in still if "key/bias" not in path]


def test_a_frozen_tower_trains_nothing_of_itself(places):
    visual = dataclasses.replace(CONFIG.visual, trained_blocks=0)
    config = dataclasses.replace(CONFIG, visual=visual)
    system = build(config, None, survey(config, places, None))
    shapes = jax.eval_shape(
        system.init, jax.random.key(0), {"image": np.zeros((1, SIDE, SIDE, 3), np.uint8)}
    )
    trained, _ = split_frozen(shapes, system.frozen_rules)
    assert set(trained) == {"head", "location", "log_scale"}


def test_the_gallery_is_of_the_training_places_or_of_a_file(places, tmp_path):
    few = dataclasses.replace(CONFIG, gallery_places=40)
    doubled = np.concatenate([places, places[:30]])
    whole, part = survey(CONFIG, doubled, None)["gallery"], survey(few, doubled, None)["gallery"]
    assert len(whole) == 90 and len(part) == 40
    assert {tuple(row) for row in part} <= {tuple(row) for row in places}
    np.testing.assert_array_equal(part, survey(few, doubled[::-1], None)["gallery"])
    path = tmp_path / "gallery.csv"
    path.write_text("LAT,LON\n1,2\n3,4\n1,2\n")
    listed = dataclasses.replace(CONFIG, gallery=str(path))
    np.testing.assert_array_equal(survey(listed, places, None)["gallery"], [[1, 2], [3, 4]])
    missing = dataclasses.replace(CONFIG, gallery=str(tmp_path / "none.csv"))
    with pytest.raises(ValueError, match=r"config.system.gallery: .*none.csv: not a readable CSV"):
        survey(missing, places, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queue": -1}, r"config.system.queue=-1: expected 0 or more"),
        ({"gallery_block": 0}, r"config.system.gallery_block=0: expected 1 or more"),
        ({"compute_dtype": "float16"}, r"compute_dtype='float16': expected one of \('float32'"),
        ({"head": ProjectionHeadConfig(4, 5)}, r"location.width=16: expected 5, as .*head.width"),
    ],
)
def test_bad_values_end_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        dataclasses.replace(CONFIG, **changes)
    assert "\n" not in str(caught.value)
