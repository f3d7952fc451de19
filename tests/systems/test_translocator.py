import dataclasses
import math

import jax
import numpy as np
import pytest

from configs.translocator import VARIANTS, get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.geo import build_hierarchy, planned_hierarchy
from geosurge_jax.systems.translocator import build
from geosurge_jax.training.layout import plan_layout
from geosurge_jax.training.mesh import MeshConfig, make_mesh
from geosurge_jax.training.parameters import flatten, merge, split_frozen, unflatten


def small_config(**fields):
    """The tiny variant on photos of 16 pixels; `visual_...` goes to the tower."""
    raw = get_config("tiny").to_dict()
    raw["system"]["visual"]["preprocessing"]["image_size"] = 16
    raw["system"].update(level_weights=(0.6, 0.4), table_row_multiple=8)
    raw["system"].update({k: v for k, v in fields.items() if not k.startswith("visual_")})
    raw["system"]["visual"].update({k[7:]: v for k, v in fields.items() if k.startswith("visual_")})
    return parse(raw).system


LADDER = {
    "rgb": dict(fusion="none", scenes=0),
    "vit_mt": dict(fusion="none", scenes=3),
    "segmentation": dict(
        fusion="late",
        scenes=0,
        decision="finest",
        semantic_subgrid=2,
        visual_scan=True,
        visual_trained_blocks=1,
    ),
    "fusion": dict(scenes=0, segmentation_input="colours", visual_trained_blocks=1),
    "paper": dict(scenes=16),
}


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
    return {
        "image": rng.integers(0, 256, (6, 16, 16, 3)).astype(np.uint8),
        "segmentation": rng.integers(0, 150, (6, 16, 16)).astype(np.uint8),
        "cells": hierarchy.assign(latlng),
        "scene": scene.astype(np.int32),
    }


@pytest.fixture(scope="module")
def whole(hierarchy, batch):
    """Loss and posterior of the whole system, compiled, and its parameters."""
    system = build(small_config(scenes=16), hierarchy, {})
    loss = jax.jit(lambda params, batch, key: system.loss(params, {}, batch, key))
    posterior = jax.jit(lambda params, batch: system.posterior(params, {}, batch).log_prob)
    return loss, posterior, made(system, batch)


@pytest.mark.parametrize("step", LADDER)
def test_every_step_of_the_ladder_keeps_the_contract(step, hierarchy, batch):
    config = small_config(**LADDER[step])
    system = build(config, hierarchy, {})
    params = made(system, batch)
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, model=2))
    rows = plan_layout(params, system.partition_rules, mesh)
    assert {row.path for row in rows} == set(flatten(params))
    trained, frozen = split_frozen(params, system.frozen_rules)
    assert set(system.towers) <= {"visual", "segmentation"}

    @jax.jit
    def everything(trained, frozen):
        def total(part):
            loss, metrics = system.loss(merge(part, frozen), {}, batch, None)
            return loss.sum(), (loss, metrics)

        (_, (loss, metrics)), gradient = jax.value_and_grad(total, has_aux=True)(trained)
        return loss, metrics, gradient, system.posterior(merge(trained, frozen), {}, batch)

    loss, metrics, gradient, posterior = everything(trained, frozen)
    assert loss.shape == (6,) and loss.dtype == np.float32 and np.all(np.isfinite(loss))
    names = ["level_0", "level_1", *(["scene"] if config.scenes else [])]
    assert set(metrics) == {f"{kind}/{name}" for kind in ("loss", "accuracy") for name in names}
    for path, value in flatten(gradient).items():
        # A softmax does not see what is added to all its keys.
        assert path.endswith("key/bias") or np.abs(value).max() > 0, path
    assert posterior.log_prob.shape == (6, len(hierarchy.partitions[-1].ids))
    np.testing.assert_allclose(np.exp(posterior.log_prob).sum(axis=1), 1.0, rtol=1e-5)


def test_loss_is_the_weighted_sum_of_its_tasks(whole, batch):
    ask, _, params = whole
    loss, metrics = ask(params, batch, None)
    parts = {name: np.asarray(value * weight) for name, (value, weight) in metrics.items()}
    expected = 0.6 * parts["loss/level_0"] + 0.4 * parts["loss/level_1"] + parts["loss/scene"]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    labels = batch["scene"][:, 1]
    np.testing.assert_array_equal(metrics["loss/scene"][1], labels >= 0)
    unknown = {**batch, "scene": np.full_like(batch["scene"], -1)}
    np.testing.assert_allclose(
        ask(params, unknown, None)[0], expected - parts["loss/scene"], rtol=1e-5
    )
    # The 16 are the second column.
    other = {**batch, "scene": batch["scene"] * np.array([0, 1, 0], np.int32)}
    np.testing.assert_array_equal(ask(params, other, None)[0], loss)


@pytest.mark.parametrize(("fusion", "reaches"), [("none", False), ("late", True)])
def test_the_segmentation_reaches_the_posterior_where_there_is_fusion(
    fusion, reaches, hierarchy, batch
):
    system = build(small_config(fusion=fusion, scenes=0), hierarchy, {})
    params = made(system, batch)
    other = {**batch, "segmentation": 149 - batch["segmentation"]}
    before, after = (jax.jit(system.posterior)(params, {}, b).log_prob for b in (batch, other))
    assert (np.abs(before - after).max() > 1e-4) == reaches


def test_branches_read_each_other_before_the_end(whole, batch):
    """Without its own weight in the end, a branch is still heard through the class tokens."""
    _, posterior, params = whole
    deaf = jax.tree.map(lambda x: x, params)
    # The photo's branch ends in zeros: what is left of the photo came through the exchange.
    deaf["visual"]["norm"] = jax.tree.map(np.zeros_like, deaf["visual"]["norm"])
    other = {**batch, "image": 255 - batch["image"]}
    before, after = (posterior(deaf, b) for b in (batch, other))
    assert np.abs(before - after).max() > 1e-4


def test_noise_needs_a_key_and_follows_it(whole, batch):
    loss, _, params = whole
    keys = None, jax.random.key(1), jax.random.key(1), jax.random.key(2)
    quiet, first, again, second = (np.asarray(loss(params, batch, key)[0]) for key in keys)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - quiet).max() > 1e-4 and np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(visual_scan=True), "config.system.visual.scan=True: expected False"),
        (dict(fusion="early"), "config.system.fusion='early': expected one of"),
        (dict(scenes=4), r"config.system.scenes=4: expected one of \(0, 3, 16, 365\)"),
        (dict(decision="mode"), "config.system.decision='mode': expected one of"),
        (dict(semantic_subgrid=3), "config.system.semantic_subgrid=3: expected 1 or more"),
        (dict(visual_projection=4), "config.system.visual.projection=4: expected 0"),
        (
            dict(visual_kind="siglip"),
            "config.system.visual.kind='siglip': expected a ViT with a class",
        ),
    ],
)
def test_choices_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        small_config(**fields)
    assert "\n" not in str(caught.value)


def test_towers_that_see_no_patches_take_colours_and_meet_at_the_end(hierarchy):
    raw = get_config("resnet101").to_dict()
    raw["system"].update(fusion="late", segmentation_input="classes")
    with pytest.raises(ValueError, match="segmentation_input='classes': expected 'colours'"):
        parse(raw)
    raw["system"].update(fusion="exchange", segmentation_input="colours")
    with pytest.raises(ValueError, match="visual.kind='resnet': expected a ViT"):
        parse(raw)
    raw["system"]["fusion"] = "late"
    raw["system"]["visual"].update(size="mu")
    raw["system"]["level_weights"] = (1.0, 1.0)
    system = build(parse(raw).system, hierarchy, {})
    assert set(system.towers) == {"visual", "segmentation"}
    photo = {
        "image": jax.ShapeDtypeStruct((2, 224, 224, 3), np.uint8),
        "segmentation": jax.ShapeDtypeStruct((2, 224, 224), np.uint8),
    }
    params = jax.eval_shape(system.init, jax.random.key(0), photo)
    assert jax.eval_shape(system.posterior, params, {}, photo).log_prob.shape[0] == 2


def test_weights_for_each_level_of_the_geocells(hierarchy):
    config = dataclasses.replace(small_config(), level_weights=(0.5, 0.3, 0.2))
    with pytest.raises(
        ValueError, match=r"config.system.level_weights=.*: expected 2, one for each"
    ):
        build(config, hierarchy, {})


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_what_they_are_called(variant):
    config = parse(get_config(variant).to_dict())
    assert len(config.system.level_weights) == len(config.geocells.max_images)
    assert len(config.geocells.planned_cells) == len(config.geocells.max_images)
    assert bool(config.init_from) == (variant not in ("tiny", "demo", "folder"))


def test_published_system_lies_on_a_mesh():
    """Two ViT-B/16 of 85,798,656 parameters each (Dosovitskiy et al. 2021, without their classifier)."""
    config = parse(get_config("paper").to_dict())
    system = build(config.system, planned_hierarchy(config.geocells.planned_cells), {})
    photo = {
        "image": jax.ShapeDtypeStruct((1, 224, 224, 3), np.uint8),
        "segmentation": jax.ShapeDtypeStruct((1, 224, 224), np.uint8),
    }
    params = jax.eval_shape(system.init, jax.random.key(0), photo)
    mesh = make_mesh(MeshConfig(data=1, fsdp=2, model=4))
    rows = plan_layout(params, system.partition_rules, mesh)
    for branch in ("visual", "segmentation"):
        shapes = [row.shape for row in rows if row.path.startswith(f"{branch}/")]
        assert sum(math.prod(shape) for shape in shapes) == 85_798_656
    # 17.6 billion multiply-adds a branch (Touvron et al. 2021 name the same number for DeiT-B).
    assert 4 * 17.5e9 < system.flops.forward < 4 * 17.7e9
