import dataclasses

import jax
import numpy as np
import pytest

from configs.geodecoder import VARIANTS, get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.geo import build_hierarchy, planned_hierarchy
from geosurge_jax.models.towers import make_tower
from geosurge_jax.systems.geodecoder import GeoDecoder, build
from geosurge_jax.training.layout import plan_layout
from geosurge_jax.training.mesh import MeshConfig, make_mesh
from geosurge_jax.training.parameters import flatten, merge, split_frozen, unflatten


def small_config(**fields):
    """The tiny variant on photos of 16 pixels; `decoder_...` goes to the decoder."""
    raw = get_config("tiny").to_dict()
    raw["system"]["visual"]["preprocessing"]["image_size"] = 16
    raw["system"].update(table_row_multiple=8)
    raw["system"].update({k: v for k, v in fields.items() if not k.startswith("decoder_")})
    own = {k.removeprefix("decoder_"): v for k, v in fields.items() if k.startswith("decoder_")}
    raw["system"]["decoder"].update(own)
    return parse(raw).system


def made(system, batch):
    """Parameters without compiling their initialisation: noise, and about 1 where a norm scales."""
    rng = np.random.default_rng(2)
    shapes = flatten(jax.eval_shape(system.init, jax.random.key(0), batch))
    return unflatten(
        {
            path: (0.2 * rng.normal(size=leaf.shape) + path.endswith("scale")).astype(leaf.dtype)
            for path, leaf in shapes.items()
        }
    )


@pytest.fixture(scope="module")
def hierarchy():
    rng = np.random.default_rng(0)
    latlng = np.stack([rng.uniform(-70, 70, 500), rng.uniform(-180, 179, 500)], axis=1)
    return build_hierarchy(latlng, max_images=(200, 20), min_images=4)


@pytest.fixture(scope="module")
def batch(hierarchy):
    rng = np.random.default_rng(1)
    latlng = hierarchy.partitions[-1].latlng[rng.integers(0, len(hierarchy.partitions[-1].ids), 6)]
    scene = np.stack([rng.integers(-1, count, 6) for count in (3, 16, 365)], axis=1)
    scene[:3, 0] = (0, 1, 2)
    return {
        "image": rng.integers(0, 256, (6, 16, 16, 3)).astype(np.uint8),
        "cells": hierarchy.assign(latlng),
        "scene": scene.astype(np.int32),
        "segmentation": np.zeros((6, 16, 16), np.uint8),
    }


@pytest.fixture(scope="module")
def whole(hierarchy, batch):
    """The tiny system, its parameters, and what its model answers in float64."""
    config = small_config(level_weights=(0.7, 0.3))
    system = build(config, hierarchy, {})
    params = made(system, batch)
    cells = tuple(len(partition.ids) for partition in hierarchy.partitions)
    model = GeoDecoder(config, cells)
    answer = jax.jit(lambda p, image: model.apply({"params": p}, image, None, train=False))
    scores, confidences = answer(params, batch["image"])
    found = [np.asarray(s, np.float64)[:, :k] for s, k in zip(scores, cells, strict=True)]
    return system, params, found, np.asarray(confidences, np.float64)


CHOICES = {
    "separate": dict(),
    "shared_16": dict(decoder_separate_layers=0, scenes=16, training_scene="label"),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_keeps_the_contract(choice, hierarchy, batch):
    config = small_config(**CHOICES[choice])
    system = build(config, hierarchy, {})
    params = made(system, batch)
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, model=2))
    rows = plan_layout(params, system.partition_rules, mesh)
    assert {row.path for row in rows} == set(flatten(params))
    trained, frozen = split_frozen(params, system.frozen_rules)

    @jax.jit
    def everything(trained):
        def total(part):
            loss, metrics = system.loss(merge(part, frozen), {}, batch, None)
            return loss.sum(), (loss, metrics)

        (_, (loss, metrics)), gradient = jax.value_and_grad(total, has_aux=True)(trained)
        return loss, metrics, gradient, system.posterior(merge(trained, frozen), {}, batch)

    loss, metrics, gradient, posterior = everything(trained)
    assert loss.shape == (6,) and loss.dtype == np.float32 and np.all(np.isfinite(loss))
    names = ("level_0", "level_1", "scene")
    assert set(metrics) == {f"{kind}/{name}" for kind in ("loss", "accuracy") for name in names}
    for path, value in flatten(gradient).items():
        # A softmax does not see what is added to all its keys.
        assert path.endswith("key/bias") or np.abs(value).max() > 0, path
    assert posterior.log_prob.shape == (6, len(hierarchy.partitions[-1].ids))
    np.testing.assert_allclose(np.exp(posterior.log_prob).sum(axis=1), 1.0, rtol=1e-5)


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_posterior_is_the_product_over_the_levels(whole, hierarchy, batch):
    system, params, scores, _ = whole
    ancestors = np.asarray(hierarchy.ancestors)
    probability = [np.exp(log_softmax(level)) for level in scores]
    expected = np.ones((6, len(ancestors)))
    for cell, line in enumerate(ancestors):
        assert (line >= 0).all(), "what stands in for a missing ancestor is tested elsewhere"
        for level, ancestor in enumerate(line):
            expected[:, cell] *= probability[level][:, ancestor]
    expected /= expected.sum(axis=1, keepdims=True)
    found = np.exp(jax.jit(system.posterior)(params, {}, batch).log_prob)
    np.testing.assert_allclose(found, expected, rtol=2e-4)


def test_loss_smooths_labels_and_learns_the_scene(whole, batch):
    system, params, scores, confidences = whole
    loss = np.asarray(jax.jit(lambda p: system.loss(p, {}, batch, None)[0])(params))
    for photo in range(6):
        expected = 0.0
        for weight, level, label in zip((0.7, 0.3), scores, batch["cells"][photo], strict=True):
            log_prob = log_softmax(level)[photo]
            expected -= weight * (0.9 * log_prob[label] + 0.1 * log_prob.mean())
        scene = batch["scene"][photo, 0]
        if scene >= 0:
            expected -= log_softmax(confidences)[photo, scene]
        np.testing.assert_allclose(loss[photo], expected, rtol=1e-4)


def test_labels_choose_the_queries_in_training_alone(hierarchy, batch):
    """With the label, the loss on geocells follows it; in evaluation it cannot."""
    config = small_config(training_scene="label", decoder_dropout=0.0, decoder_separate_layers=0)
    system = build(config, hierarchy, {})
    params = made(system, batch)
    other = {**batch, "scene": (batch["scene"] + 1) % 3}

    @jax.jit
    def geocells(batch, key):
        metrics = system.loss(params, {}, batch, key)[1]
        return metrics["loss/level_1"][0]

    key = jax.random.key(0)
    assert np.abs(geocells(batch, key) - geocells(other, key))[:3].min() > 1e-5
    quiet = jax.jit(lambda b: system.loss(params, {}, b, None)[1]["loss/level_1"][0])
    np.testing.assert_array_equal(quiet(batch), quiet(other))


def test_noise_needs_a_key_and_follows_it(whole, batch):
    system, params, _, _ = whole
    loss = jax.jit(lambda key: system.loss(params, {}, batch, key)[0])
    keys = None, jax.random.key(1), jax.random.key(1), jax.random.key(2)
    quiet, first, again, second = (np.asarray(loss(key)) for key in keys)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - quiet).max() > 1e-4 and np.abs(first - second).max() > 1e-4


def test_a_swin_of_another_width_serves_as_the_eye(hierarchy):
    raw = get_config("paper").to_dict()
    raw["system"]["visual"].update(size="mu", window=2)
    raw["system"]["decoder"].update(width=24, heads=2)
    system = build(parse(raw).system, hierarchy, {})
    photo = {"image": jax.ShapeDtypeStruct((2, 224, 224, 3), np.uint8)}
    params = jax.eval_shape(system.init, jax.random.key(0), photo)
    assert jax.eval_shape(system.posterior, params, {}, photo).log_prob.shape[0] == 2
    assert make_tower(parse(raw).system.visual, np.float32).config.width != 24


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(scenes=4), r"config.system.scenes=4: expected one of \(3, 16, 365\)"),
        (dict(training_scene="guess"), "config.system.training_scene='guess': expected one of"),
        (dict(label_smoothing=1.0), "config.system.label_smoothing=1.0: expected 0 to below 1"),
    ],
)
def test_choices_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        small_config(**fields)


def test_weights_for_each_level_of_the_geocells(hierarchy):
    config = dataclasses.replace(small_config(), level_weights=(0.5, 0.3, 0.2))
    with pytest.raises(
        ValueError, match=r"config.system.level_weights=.*: expected 2, one for each"
    ):
        build(config, hierarchy, {})


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_what_they_are_called(variant):
    config = parse(get_config(variant).to_dict())
    assert len(config.system.level_weights) in (0, len(config.geocells.max_images))
    assert bool(config.init_from) == (variant in ("paper", "development"))


def test_published_system_lies_on_a_mesh():
    """Seven hierarchies of 16 scenes, looked at through a Swin-B."""
    config = parse(get_config("paper").to_dict())
    system = build(config.system, planned_hierarchy(config.geocells.planned_cells), {})
    photo = {"image": jax.ShapeDtypeStruct((1, 224, 224, 3), np.uint8)}
    params = jax.eval_shape(system.init, jax.random.key(0), photo)
    mesh = make_mesh(MeshConfig(data=1, fsdp=2, model=4))
    layout = {row.path: row.shape for row in plan_layout(params, system.partition_rules, mesh)}
    assert layout["decoder/queries"] == (7, 16, 768)
    assert layout["decoder/separate_02/mlp/up_kernel"] == (7, 768, 1024)
    assert layout["decoder/shared_00/cross_attention/key/kernel"] == (1024, 12, 64)
