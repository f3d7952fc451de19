"""The mesh, and how parameters and batches lie on it. The only file that makes a Mesh."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from geosurge_jax.training.parameters import flatten, unflatten

MESH_AXES = ("data", "model")


@dataclass(frozen=True)
class MeshConfig:
    """Sizes of the mesh axes; -1, allowed once, takes the remaining devices.

    Attributes:
        data: devices over which the batch is split.
        model: devices over which the systems' tables are split.
    """

    data: int
    model: int


def make_mesh(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """Arranges the devices: all that JAX sees, unless some are given.

    Raises:
        ValueError: the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    sizes = {"data": config.data, "model": config.model}
    known = int(np.prod([size for size in sizes.values() if size != -1]))
    free = [axis for axis, size in sizes.items() if size == -1]
    if len(free) == 1 and known and len(devices) % known == 0:
        sizes[free[0]] = len(devices) // known
    if np.prod(list(sizes.values())) != len(devices) or min(sizes.values()) < 1:
        raise ValueError(
            f"config.mesh={{data: {config.data}, model: {config.model}}}: expected sizes that multiply to "
            f"the {len(devices)} devices there are (one may be -1 for the rest)"
        )
    # Explicit, the default, asks every operation for an output sharding, which Linen layers cannot give.
    auto = (AxisType.Auto,) * len(MESH_AXES)
    return jax.make_mesh(tuple(sizes.values()), MESH_AXES, axis_types=auto, devices=devices)


def match_specs(
    params: Mapping[str, Any], rules: Sequence[tuple[str, PartitionSpec]]
) -> dict[str, Any]:
    """Gives every parameter the PartitionSpec of the first rule that matches its path.

    Args:
        params: nested dict of arrays or shapes.
        rules: (regular expression searched in `a/b/c`, spec) pairs.

    Returns:
        Nested dict of the same structure holding specs.

    Raises:
        ValueError: a parameter that no rule matches, or whose shape the spec does not fit.
    """
    specs = {}
    for path, leaf in flatten(params).items():
        spec = next((spec for pattern, spec in rules if re.search(pattern, path)), None)
        if spec is None:
            raise ValueError(
                f"parameter {path} {tuple(leaf.shape)}: no partition rule matches; "
                f"rules: {[pattern for pattern, _ in rules]}"
            )
        if len(spec) > len(leaf.shape):
            raise ValueError(f"parameter {path} {tuple(leaf.shape)}: has fewer axes than {spec}")
        specs[path] = spec
    return unflatten(specs)


def check_even(params: Mapping[str, Any], specs: Mapping[str, Any], mesh: Mesh) -> None:
    """Raises ValueError, naming parameter, shape and axis, where a shard would be uneven."""
    flat_specs = flatten(specs)
    for path, leaf in flatten(params).items():
        for size, axis in zip(leaf.shape, flat_specs[path], strict=False):
            if axis is not None and size % mesh.shape[axis]:
                raise ValueError(
                    f"parameter {path} {tuple(leaf.shape)}: {size} does not split evenly over "
                    f"config.mesh.{axis}={mesh.shape[axis]}"
                )


def put_batch(mesh: Mesh, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """Places this process' part of a batch on the data axis.

    Args:
        mesh: the mesh.
        batch: host arrays `[B / processes, ...]`.

    Returns:
        Global arrays `[B, ...]` sharded over `data`, replicated over `model`.
    """
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return {
        name: jax.make_array_from_process_local_data(sharding, value)
        for name, value in batch.items()
    }
