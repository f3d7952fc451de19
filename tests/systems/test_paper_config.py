"""The published configuration at full size, by shapes alone: nothing of it is ever computed here."""

import jax
import numpy as np
import pytest

from configs.geosurge import get_config
from geosurge_jax.experiment import assembly
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import Geography
from geosurge_jax.geo import build_hierarchy
from geosurge_jax.training.mesh import batch_sharding
from geosurge_jax.training.parameters import flatten, parameter_table


@pytest.fixture(scope="module")
def experiment():
    config = get_config()
    config.mesh.update(data=2, fsdp=2, model=2)
    config = parse(config.to_dict())
    rng = np.random.default_rng(0)
    latlng = np.stack([rng.uniform(-70, 70, 3000), rng.uniform(-180, 179, 3000)], axis=1)
    hierarchy = build_hierarchy(latlng, max_images=(500, 250, 120, 60, 30, 20, 10), min_images=2)
    return config, assembly.make_model(config, Geography(hierarchy, {}))


@pytest.fixture(scope="module")
def planned(experiment):
    config, model = experiment
    with jax.set_mesh(model.mesh):
        return assembly.plan_training(config, model, total_steps=100, steps_per_epoch=10)


def test_tower_has_the_published_size(planned):
    """CLIP ViT-L/14 at 336 px: 303,507,456 parameters in its vision model (Radford et al. 2021)."""
    shapes = planned.state.abstract
    rows = {row.part: row for row in parameter_table(shapes.trained, shapes.frozen)}
    assert rows["visual"].trained + rows["visual"].frozen == 303_507_456
    assert rows["visual"].trained == 4 * 12_596_224 + 2 * 1024
    assert rows["table"].frozen == 0


def test_tower_costs_what_its_formula_says(experiment):
    """24 blocks over 577 tokens: 12 D^2 and 2 N D multiply-adds a token, and the patch embedding."""
    config, model = experiment
    tokens, width = 577, 1024
    tower = 2 * 24 * tokens * (12 * width**2 + 2 * tokens * width) + 2 * 576 * 588 * width
    assert tower < model.system.flops.forward < 1.3 * tower
    assert model.system.flops.training < 1.9 * model.system.flops.forward, "most of it is frozen"


def test_step_lowers_for_a_mesh(experiment, planned):
    config, model = experiment
    state = planned.state.abstract
    with jax.set_mesh(model.mesh):
        data = batch_sharding(model.mesh)
        shapes = {
            "image": ((8, 336, 336, 3), np.uint8),
            "segmentation": ((8, 336, 336), np.uint8),
            "cells": ((8, 7), np.int32),
            "mask": ((8,), np.float32),
        }
        batch = {
            name: jax.ShapeDtypeStruct(shape, dtype, sharding=data)
            for name, (shape, dtype) in shapes.items()
        }
        text = planned.step.lower(state, batch).as_text()
    assert "bf16" in text
    state_bytes = sum(leaf.size * 4 for leaf in jax.tree.leaves(state.opt_state))
    trained_bytes = sum(leaf.size * 4 for leaf in flatten(state.trained).values())
    assert state_bytes < 2.01 * trained_bytes
