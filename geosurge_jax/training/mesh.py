"""The mesh, and how batches lie on it. The only file that makes a Mesh."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from geosurge_jax.models.sharding import BATCH_AXES


@dataclass(frozen=True)
class MeshConfig:
    """Sizes of the mesh axes; -1, allowed once, takes the remaining devices.

    The batch is split over all axes; what they differ in is what the devices along them share, see
    `geosurge_jax.models.sharding`.

    Attributes:
        data: replicas that share nothing.
        fsdp: devices that share the storage of all parameters.
        model: devices that share the storage of the systems' tables.
    """

    data: int
    fsdp: int
    model: int


def make_mesh(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """Arranges the devices: all that JAX sees, unless some are given.

    Raises:
        ValueError: the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    sizes = asdict(config)
    known = math.prod(size for size in sizes.values() if size != -1)
    free = [axis for axis, size in sizes.items() if size == -1]
    if len(free) == 1 and known and len(devices) % known == 0:
        sizes[free[0]] = len(devices) // known
    if math.prod(sizes.values()) != len(devices) or min(sizes.values()) < 1:
        stated = ", ".join(f"{axis}: {size}" for axis, size in asdict(config).items())
        raise ValueError(
            f"config.mesh={{{stated}}}: expected sizes that multiply to the {len(devices)} devices there "
            f"are (one may be -1 for the rest)"
        )
    # Explicit, the default, asks every operation for an output sharding, which Linen layers cannot give.
    auto = (AxisType.Auto,) * len(sizes)
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=auto, devices=devices)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """How `[B, ...]` lies: photos over all devices."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def process_rows(mesh: Mesh, batch_size: int) -> np.ndarray:
    """Which rows of a global batch this process has to make for `put_batch`.

    Asked of the sharding, so that it holds for any order of devices in the mesh, also one in which the
    rows of a process are no slice.

    Args:
        mesh: the mesh.
        batch_size: rows of a global batch, a multiple of the devices.

    Returns:
        Ascending rows, int64 `[B / processes]`.
    """
    slices = batch_sharding(mesh).addressable_devices_indices_map((batch_size,)).values()
    rows = [np.arange(batch_size)[index] for index in slices if index is not None]
    return np.sort(np.concatenate(rows))


def put_batch(mesh: Mesh, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Places this process' part of a batch.

    Args:
        mesh: the mesh.
        batch: host arrays `[B / processes, ...]`, the rows of `process_rows`, or trees of them.

    Returns:
        Global arrays `[B, ...]`, photos split over all devices.
    """
    sharding = batch_sharding(mesh)
    return jax.tree.map(
        lambda value: jax.make_array_from_process_local_data(sharding, value), dict(batch)
    )
