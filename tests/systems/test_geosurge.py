import dataclasses

import jax
import numpy as np
import pytest

from configs.geosurge import get_config
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.geo import build_hierarchy
from geosurge_jax.systems.geosurge import build
from geosurge_jax.training.parameters import flatten, merge, split_frozen
from tests.parity.comparison import family_of
from tests.parity.oracle import thaw


def small_config():
    config = get_config("tiny")
    config.system.visual.preprocessing.image_size = 16
    config.system.fusion.dropout = 0.2
    config.system.embedding_width = 8
    return parse(config.to_dict()).system


CONFIG = small_config()


@pytest.fixture(scope="module")
def hierarchy():
    rng = np.random.default_rng(0)
    latlng = np.stack([rng.uniform(-70, 70, 500), rng.uniform(-180, 179, 500)], axis=1)
    return build_hierarchy(latlng, max_images=(200, 20), min_images=4)


@pytest.fixture(scope="module")
def batch(hierarchy):
    rng = np.random.default_rng(1)
    latlng = hierarchy.partitions[-1].latlng[rng.integers(0, len(hierarchy.partitions[-1].ids), 6)]
    return {
        "image": rng.integers(0, 256, (6, 16, 16, 3)).astype(np.uint8),
        "segmentation": rng.integers(0, 150, (6, 16, 16)).astype(np.uint8),
        "cells": hierarchy.assign(latlng),
    }


def changed(**fields):
    fusion = {k[7:]: v for k, v in fields.items() if k.startswith("fusion_")}
    own = {k: v for k, v in fields.items() if not k.startswith("fusion_")}
    return dataclasses.replace(CONFIG, fusion=dataclasses.replace(CONFIG.fusion, **fusion), **own)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        changed(fusion_kind="low_rank", negatives="batch"),
        changed(fusion_kind="direct", fusion_semantic_subgrid=2, compute_dtype="bfloat16"),
        changed(fusion_kind="none", targets="class", missing_ancestor="skip"),
    ],
    ids=["latent", "low_rank", "direct", "none"],
)
def test_every_choice_keeps_the_contract(config, hierarchy, batch):
    system = build(config, hierarchy, {})
    params = jax.jit(system.init)(jax.random.key(0), batch)
    assert all(leaf.dtype == np.float32 for leaf in flatten(params).values())
    loss, metrics = jax.jit(lambda p, b: system.loss(p, {}, b, None))(params, batch)
    assert loss.shape == (6,) and loss.dtype == np.float32 and np.all(np.isfinite(loss))
    assert set(metrics) == {f"{m}/level_{level}" for m in ("loss", "accuracy") for level in (0, 1)}
    posterior = jax.jit(system.posterior)(params, {}, batch)
    assert posterior.log_prob.shape == (6, len(hierarchy.partitions[-1].ids))
    np.testing.assert_allclose(np.exp(posterior.log_prob).sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(posterior.latlng, hierarchy.partitions[-1].latlng, atol=1e-4)


def test_the_map_reaches_the_posterior_unless_there_is_no_fusion(hierarchy, batch):
    other = {**batch, "segmentation": 149 - batch["segmentation"]}
    for kind, differs in (("latent", True), ("none", False)):
        system = build(changed(fusion_kind=kind), hierarchy, {})
        params = jax.jit(system.init)(jax.random.key(0), batch)
        posterior = jax.jit(system.posterior)
        before, after = (posterior(params, {}, b).log_prob for b in (batch, other))
        assert (np.abs(before - after).max() > 1e-4) == differs


def test_noise_needs_a_key_and_follows_it(hierarchy, batch):
    system = build(CONFIG, hierarchy, {})
    params = jax.jit(system.init)(jax.random.key(0), batch)
    noisy = jax.jit(lambda key: system.loss(params, {}, batch, key)[0])
    quiet = np.asarray(jax.jit(lambda: system.loss(params, {}, batch, None)[0])())
    first, again, second = (np.asarray(noisy(jax.random.key(n))) for n in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - quiet).max() > 1e-4 and np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize(
    "name",
    [
        "swin-whole",
        pytest.param("resnet-basic", marks=pytest.mark.slow),
        "efficientnet-even",
        pytest.param("siglip", marks=pytest.mark.slow),
    ],
)
def test_any_tower_serves_as_the_eye(hierarchy, batch, name):
    oracle = thaw(name)
    tower = family_of(oracle.config["model_type"]).read(oracle.config, oracle.preprocessor)
    if tower.preprocessing.image_size % tower.grid:
        preprocessing = dataclasses.replace(tower.preprocessing, image_size=64)
        tower = dataclasses.replace(tower, preprocessing=preprocessing)
    raw = get_config("tiny").to_dict()
    raw["system"]["visual"] = dataclasses.asdict(tower)
    config = parse(raw).system
    assert config.visual == tower
    side = tower.preprocessing.image_size
    rng = np.random.default_rng(2)
    photos = {
        "image": rng.integers(0, 256, (2, side, side, 3)).astype(np.uint8),
        "segmentation": rng.integers(0, 150, (2, side, side)).astype(np.uint8),
        "cells": batch["cells"][:2],
    }
    system = build(config, hierarchy, {})
    params = jax.eval_shape(system.init, jax.random.key(0), photos)
    assert jax.eval_shape(system.posterior, params, {}, photos).log_prob.shape[0] == 2
    trained, frozen = split_frozen(params, system.frozen_rules)
    gradient = jax.eval_shape(
        jax.grad(lambda part, rest: system.loss(merge(part, rest), {}, photos, None)[0].sum()),
        trained,
        frozen,
    )
    assert set(flatten(gradient)) == set(flatten(trained))
    assert any(path.startswith("visual/") for path in flatten(gradient))
    if name == "resnet-basic":
        params = jax.jit(system.init)(jax.random.key(0), photos)
        log_prob = jax.jit(system.posterior)(params, {}, photos).log_prob
        np.testing.assert_allclose(np.exp(log_prob).sum(axis=1), 1, rtol=1e-5)


def test_towers_of_no_kind_and_projections_are_refused():
    raw = get_config("tiny").to_dict()
    raw["system"]["visual"]["kind"] = "mlp"
    with pytest.raises(ValueError, match="config.system.visual.kind='mlp': expected one of .'vit'"):
        parse(raw)
    raw["system"]["visual"].update(kind="clip")
    raw["system"]["fusion"]["semantic_subgrid"] = 3
    with pytest.raises(ValueError, match="image_size=32: expected a multiple of 12"):
        parse(raw)
    raw["system"]["fusion"]["semantic_subgrid"] = 1
    raw["system"]["visual"].update(projection=8)
    with pytest.raises(ValueError, match="config.system.visual.projection=8: expected 0"):
        parse(raw)
