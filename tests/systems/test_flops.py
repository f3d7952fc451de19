"""Analytic FLOPs against the matrix products of the compiled programs, for every config."""

import functools

import jax
import numpy as np
import pytest

from configs.league import MEMBERS
from geosurge_jax.compilation.matmul import matmul_flops
from geosurge_jax.compilation.program import parse_program
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.systems import SYSTEMS
from geosurge_jax.training.parameters import merge, split_frozen
from tests.systems.contract_checks import (
    PHOTOS,
    TRAINING_PHOTOS,
    small_batch,
    small_hierarchy,
    training_places,
)

LEVELS = (200, 60, 20)
# Products by which `class_shares` counts the classes of a pixel: no part of a model, and not in its formula.
COUNTING = {"geosurge": 2 * 160, "translocator": 2 * 160}


@functools.cache
def made(name):
    raw = MEMBERS[name]["tiny"]()
    raw["geocells"]["max_images"] = LEVELS
    system = raw["system"]
    # Neither masked rows of a padded table nor a padded gallery are work that the formulas count.
    system.update({"table_row_multiple": 1} if "table_row_multiple" in system else {})
    system.update({"gallery_block": 10} if "gallery_block" in system else {})
    config, hierarchy = parse(raw), small_hierarchy(LEVELS)
    entry = SYSTEMS[config.system_name]
    survey = entry.survey(config.system, training_places(), hierarchy)
    built = entry.build(config.system, hierarchy, survey)
    batch = small_batch(built)
    side = next(iter(built.towers.values())).preprocessing.image_size
    batch["image"] = np.zeros((PHOTOS, side, side, 3), np.uint8)
    batch["segmentation"] = np.zeros((PHOTOS, side, side), np.uint8)
    batch["mask"] = np.ones(PHOTOS, np.float32)
    params = jax.eval_shape(built.init, jax.random.key(0), batch)
    return built, params, batch, COUNTING.get(name, 0) * side**2


def products(function, *arguments):
    """FLOPs of a photo in the compiled program's matrix products."""
    compiled = jax.jit(function).lower(*arguments).compile()
    return matmul_flops(parse_program(compiled.as_text())).total / PHOTOS


@pytest.mark.parametrize("name", MEMBERS)
def test_a_posterior_costs_what_its_formula_says(name):
    system, params, batch, counting = made(name)
    width = jax.eval_shape(system.index_rows, params, batch) if system.index_rows else {}
    index = {
        key: np.zeros((TRAINING_PHOTOS, *row.shape[1:]), np.float32) for key, row in width.items()
    }
    search = 2 * TRAINING_PHOTOS * sum(row.shape[1] for row in index.values())
    index |= {"latlng": np.zeros((TRAINING_PHOTOS, 2)), "valid": np.ones(TRAINING_PHOTOS)}
    prepared = jax.eval_shape(system.prepare, params, index)
    counted = products(system.posterior, params, prepared, batch)
    assert counted == pytest.approx(system.flops.forward + counting + search, rel=0.02)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_training_step_costs_what_its_formula_says(name):
    system, params, batch, counting = made(name)
    trained, frozen = split_frozen(params, system.frozen_rules)

    def loss(trained, frozen, batch):
        return system.loss(merge(trained, frozen), system.memory(), batch, None)[0].sum()

    counted = products(jax.value_and_grad(loss), trained, frozen, batch)
    # No gradient is taken with respect to pixels and classes, of which the formulas know nothing.
    assert 0.9 * system.flops.training < counted - counting <= 1.001 * system.flops.training
