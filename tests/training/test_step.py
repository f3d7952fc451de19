import dataclasses
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from geosurge_jax.systems.contract import masked_sums
from geosurge_jax.training.parameters import flatten, merge
from geosurge_jax.training.step import gradient_and_sums


@pytest.fixture(scope="module")
def reference(trainer):
    return trainer((1, 1, 1)).run(3)


MESHES = [(8, 1, 1), (2, 2, 2), (1, 1, 8)]


@pytest.mark.parametrize("shape", MESHES)
def test_every_mesh_gives_the_same_losses(trainer, reference, shape):
    _, losses = trainer(shape).run(3)
    np.testing.assert_allclose(losses, reference[1], rtol=2e-6)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "shape",
    [pytest.param(shape, marks=pytest.mark.slow) if 8 in shape else shape for shape in MESHES],
)
def test_every_mesh_gives_the_same_gradient(trainer, shape):
    expected, expected_sums = trainer((1, 1, 1)).gradient()
    gradient, sums = trainer(shape).gradient()
    chex.assert_trees_all_close(sums, expected_sums, rtol=2e-6)
    # Some gradients (a key's bias under a softmax) are zero but for rounding: the whole tree is the scale.
    scale = float(optax.tree.norm(expected))
    chex.assert_trees_all_close(gradient, expected, atol=1e-6 * scale, rtol=1e-5)


@pytest.mark.parametrize(("shape", "parts"), [((2, 2, 2), 4), ((1, 1, 8), 8)])
def test_step_gathers_no_geocell_table(trainer, shape, parts):
    run = trainer(shape)
    tables = {
        path: leaf.shape
        for path, leaf in flatten(run.plan.abstract.trained).items()
        if "level_" in path
    }
    assert len(tables) == 2
    text = run.compiled_text()
    for path, (rows, width) in tables.items():
        assert f"[{rows // parts},{width}]" in text, f"{path} is not split by rows"
        assert not re.search(rf"\[{rows},{width}\]\S* all-gather", text), path
        assert f"f32[{rows},{width}]" not in text, f"{path} is whole on a device"


def test_the_hlo_check_can_fail(trainer):
    text = trainer((1, 1, 1)).compiled_text()
    rows, width = next(
        leaf.shape
        for path, leaf in flatten(trainer((1, 1, 1)).plan.abstract.trained).items()
        if "level_" in path
    )
    assert f"f32[{rows},{width}]" in text


def test_frozen_parameters_stay_and_have_no_optimizer_state(trainer):
    run = trainer((1, 1, 1))
    before = jax.device_get(run.create())
    after, _ = run.run(2)
    assert flatten(before.frozen)
    chex.assert_trees_all_equal(before.frozen, jax.device_get(after.frozen))
    moved = [
        path
        for path, value in flatten(before.trained).items()
        if not np.array_equal(value, flatten(after.trained)[path])
    ]
    assert set(moved) == set(flatten(before.trained))
    optimizer_size = sum(leaf.size for leaf in jax.tree.leaves(after.opt_state) if leaf.ndim)
    assert optimizer_size == 2 * sum(leaf.size for leaf in jax.tree.leaves(after.trained))


def test_frozen_blocks_have_no_backward(trainer, system, host_batch):
    state = trainer((1, 1, 1)).create()

    def loss(trained, frozen):
        return system.loss(merge(trained, frozen), {}, host_batch, None)[0].sum()

    def products(function):
        return str(jax.make_jaxpr(function)(state.trained, state.frozen)).count("dot_general")

    assert products(loss) < products(jax.grad(loss)) < products(jax.grad(loss, argnums=(0, 1)))


def test_accumulation_gives_the_gradient_of_the_whole_batch(system, host_batch, trainer):
    state = trainer((1, 1, 1)).create()
    batch = jax.tree.map(jnp.asarray, host_batch)
    # Noise would differ between the parts.
    quiet = dataclasses.replace(
        system, loss=lambda params, memory, batch, _: system.loss(params, memory, batch, None)
    )
    key = jax.random.key(0)
    whole, whole_sums = jax.jit(lambda: gradient_and_sums(quiet, state, batch, key, 1))()
    parts, part_sums = jax.jit(lambda: gradient_and_sums(quiet, state, batch, key, 4))()
    chex.assert_trees_all_close(whole_sums, part_sums, rtol=1e-5)
    # Some gradients (a key's bias under a softmax) are zero but for rounding: the whole tree is the scale.
    scale = float(optax.tree.norm(whole))
    chex.assert_trees_all_close(
        jax.tree.map(lambda g: g / scale, whole),
        jax.tree.map(lambda g: g / scale, parts),
        atol=1e-6,
    )


def test_masked_photos_count_nowhere(trainer, host_batch, system):
    params = trainer((1, 1, 1)).create().evaluation_params()
    batch = dict(host_batch)
    before = masked_sums(system, params, {}, batch, None)
    batch["image"] = batch["image"].copy()
    batch["image"][3] = 255 - batch["image"][3]
    after = masked_sums(system, params, {}, batch, None)
    chex.assert_trees_all_equal(before, after)
    assert float(before["loss"][1]) == len(batch["mask"]) - 1


def test_average_follows_the_parameters(trainer):
    run = trainer((1, 1, 1), averaged=True)
    start = jax.device_get(run.create())
    state, _ = run.run(1)
    expected = jax.tree.map(
        lambda old, new: 0.9 * np.asarray(old) + 0.1 * np.asarray(new), start.trained, state.trained
    )
    chex.assert_trees_all_close(state.average, expected, atol=1e-6)
    chex.assert_trees_all_equal(
        flatten(state.evaluation_params())["head/kernel"], flatten(state.average)["head/kernel"]
    )


def test_two_runs_are_the_same_bits_and_trace_once(trainer):
    run = trainer((2, 2, 2))
    first, _ = run.run(2)
    second, _ = run.run(2)
    chex.assert_trees_all_equal(jax.device_get(first), jax.device_get(second))
    assert run.step._cache_size() == 1
