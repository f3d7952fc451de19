"""The training state: what a step maps to what, and how it is made on the mesh."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from geosurge_jax.systems.contract import Memory, Params, System
from geosurge_jax.training.layout import ParameterLayout, plan_layout
from geosurge_jax.training.parameters import flatten, merge, split_frozen, unflatten


@struct.dataclass
class TrainState:
    """Everything that training changes or needs unchanged.

    Attributes:
        step: int32, completed steps.
        trained: parameters that the optimiser moves.
        frozen: parameters that stay; no optimiser state, no gradient.
        opt_state: optax state over `trained`.
        average: exponential moving average of `trained`, or None.
        memory: what the system's loss remembers of earlier batches; a copy on every device.
    """

    step: jax.Array
    trained: Params
    frozen: Params
    opt_state: Any
    average: Params | None
    memory: Memory

    def evaluation_params(self) -> Params:
        """The parameters that are evaluated: averaged where there is an average."""
        return merge(self.trained if self.average is None else self.average, self.frozen)


@dataclass(frozen=True)
class StatePlan:
    """Shapes and shardings of the state, known before any array exists.

    Attributes:
        abstract: `TrainState` of `jax.ShapeDtypeStruct` with shardings.
        create: `key -> TrainState`, jitted; every array is born sharded.
        layout: where each parameter lies, and why.
    """

    abstract: TrainState
    create: Callable[[jax.Array], TrainState]
    layout: tuple[ParameterLayout, ...]

    @property
    def shardings(self) -> TrainState:
        """`TrainState` of shardings."""
        return jax.tree.map(lambda leaf: leaf.sharding, self.abstract)


@dataclass(frozen=True)
class ParameterPlan:
    """Shapes and shardings of a system's parameters, known before any array exists.

    Attributes:
        abstract: nested dict of `jax.ShapeDtypeStruct` with shardings.
        layout: where each parameter lies, and why.
    """

    abstract: Params
    layout: tuple[ParameterLayout, ...]


def plan_parameters(system: System, mesh: Mesh) -> ParameterPlan:
    """Plans where the parameters of a system lie; reading weights needs no more than this.

    Args:
        system: gives parameters and sharding rules.
        mesh: the mesh.

    Raises:
        ValueError: a rule or a parameter that matches nothing, or an uneven shard.
    """
    shapes = jax.eval_shape(lambda key: system.init(key, _probe(system.probe)), jax.random.key(0))
    layout = plan_layout(shapes, system.partition_rules, mesh)
    flat = flatten(shapes)
    abstract = {
        row.path: jax.ShapeDtypeStruct(
            row.shape, flat[row.path].dtype, sharding=NamedSharding(mesh, row.spec)
        )
        for row in layout
    }
    return ParameterPlan(unflatten(abstract), layout)


def _probe(batch: Mapping[str, Any]) -> dict[str, jax.Array]:
    """A batch of one black image of the same shapes and types."""
    return {name: jnp.zeros((1, *value.shape[1:]), value.dtype) for name, value in batch.items()}


def plan_state(
    system: System,
    optimizer: optax.GradientTransformation,
    batch: Mapping[str, Any],
    mesh: Mesh,
    *,
    averaged: bool,
) -> StatePlan:
    """Works out the state's shapes, then where each array lies.

    Args:
        system: gives parameters, partition rules and freeze rules.
        optimizer: sees the trained parameters only.
        batch: arrays or shapes of one batch.
        mesh: the mesh.
        averaged: whether to keep a moving average of the trained parameters.

    Returns:
        The plan.

    Raises:
        ValueError: a rule or a parameter that matches nothing, or an uneven shard.
    """

    def create(key: jax.Array) -> TrainState:
        trained, frozen = split_frozen(system.init(key, _probe(batch)), system.frozen_rules)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            trained=trained,
            frozen=frozen,
            opt_state=optimizer.init(trained),
            average=jax.tree.map(jnp.copy, trained) if averaged else None,
            memory=system.memory(),
        )

    shapes = jax.eval_shape(create, jax.random.key(0))
    params = merge(shapes.trained, shapes.frozen)
    layout = plan_layout(params, system.partition_rules, mesh)
    specs = unflatten({row.path: row.spec for row in layout})
    trained, frozen = split_frozen(specs, system.frozen_rules)
    spec_tree: Any = TrainState(
        step=PartitionSpec(),  # pyright: ignore[reportArgumentType]
        trained=trained,
        frozen=frozen,
        opt_state=optax.tree_utils.tree_map_params(
            optimizer,
            lambda _, spec: spec,
            shapes.opt_state,
            trained,
            transform_non_params=lambda _: PartitionSpec(),
        ),
        average=trained if averaged else None,
        memory=jax.tree.map(lambda _: PartitionSpec(), shapes.memory),
    )
    abstract = jax.tree.map(
        lambda shape, spec: jax.ShapeDtypeStruct(
            shape.shape, shape.dtype, sharding=NamedSharding(mesh, spec)
        ),
        shapes,
        spec_tree,
    )
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    return StatePlan(abstract, jax.jit(create, out_shardings=shardings), layout)
