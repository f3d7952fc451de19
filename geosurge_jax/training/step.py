"""The training step: a pure function of state and batch, compiled once over the mesh."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from geosurge_jax.systems.contract import MetricSums, Params, System, masked_sums
from geosurge_jax.training.parameters import merge
from geosurge_jax.training.random_streams import stream
from geosurge_jax.training.state import StatePlan, TrainState

TrainStep = Callable[[TrainState, dict[str, jax.Array]], tuple[TrainState, MetricSums]]


def slice_batch(batch: dict[str, Any], parts: int) -> dict[str, Any]:
    """Reshapes `[B, ...]` to `[parts, B / parts, ...]`, each part spread over all devices."""

    def cut(array: jax.Array) -> jax.Array:
        strided = array.reshape(array.shape[0] // parts, parts, *array.shape[1:])
        return jnp.swapaxes(strided, 0, 1)

    return jax.tree.map(cut, batch)


def gradient_and_sums(
    system: System,
    state: TrainState,
    batch: dict[str, jax.Array],
    key: jax.Array,
    accumulation: int,
) -> tuple[Params, MetricSums]:
    """Gradient of the summed loss over the trained parameters, and the metric sums.

    Args:
        system: the loss.
        state: its parameters.
        batch: `[B, ...]`.
        key: noise of this step.
        accumulation: parts into which the batch is cut; their gradients are added one after another.

    Returns:
        Gradient of the SUM over photos (mean is one division later), and the sums over the batch.
    """

    def summed_loss(trained, part, part_key):
        sums = masked_sums(system, merge(trained, state.frozen), state.memory, part, part_key)
        return sums["loss"][0], sums

    gradient = jax.grad(summed_loss, has_aux=True)
    if accumulation == 1:
        return gradient(state.trained, batch, key)

    def add_part(total, numbered_part):
        number, part = numbered_part
        added = gradient(state.trained, part, jax.random.fold_in(key, number))
        return jax.tree.map(jnp.add, total, added), None

    parts = slice_batch(batch, accumulation)
    first = jax.tree.map(lambda x: x[0], parts)
    shapes = jax.eval_shape(gradient, state.trained, first, key)
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    return jax.lax.scan(add_part, zeros, (jnp.arange(accumulation), parts))[0]


def make_train_step(
    system: System,
    optimizer: optax.GradientTransformation,
    plan: StatePlan,
    root_key: jax.Array,
    *,
    accumulation: int,
    average_decay: float,
) -> TrainStep:
    """Builds the jitted step.

    Args:
        system: the loss.
        optimizer: as given to `plan_state`.
        plan: shardings of the state; the state given to the step is donated.
        root_key: key of the run; noise depends on it and on the step alone.
        accumulation: parts into which the batch is cut, one after another, to save memory; the gradient
            is that of the whole batch (with negatives from the batch, of the part).
        average_decay: of the moving average; used where the state has one.

    Returns:
        `(state, batch) -> (state, sums)`; the sums are of the parameters before the update.
    """

    def step(state: TrainState, batch: dict[str, jax.Array]) -> tuple[TrainState, MetricSums]:
        key = stream(root_key, "noise", state.step)
        gradients, sums = gradient_and_sums(system, state, batch, key, accumulation)
        # A batch of nothing but masked photos moves nothing.
        photos = jnp.maximum(sums["loss"][1], 1.0)
        gradients = jax.tree.map(lambda g: g / photos, gradients)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.trained)
        trained: Any = optax.apply_updates(state.trained, updates)
        average: Any = state.average
        if average is not None:
            average = optax.incremental_update(trained, average, 1.0 - average_decay)
        one = jnp.ones(())
        for name, tree in (("gradient", gradients), ("parameter", trained), ("update", updates)):
            sums[f"norm/{name}"] = (optax.tree.norm(tree), one)
        memory = system.remember(state.memory, batch)
        new_state = TrainState(state.step + 1, trained, state.frozen, opt_state, average, memory)
        return new_state, sums

    return jax.jit(step, donate_argnums=0, out_shardings=(plan.shardings, None))
