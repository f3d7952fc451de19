"""Tensors of a model's directory into parameters on their devices."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.part import Part, Sources, check_names, full_name
from geosurge_jax.interop.positions import resize_positions
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.systems.contract import Params
from geosurge_jax.training.parameters import unflatten


def load_part(part: Part) -> Params:
    """Loads one part of a model, each device getting the rows that it holds and no more.

    Returns:
        Arrays like the part's shapes.

    Raises:
        WeightsError: as `check_part`; of the numbers that are not finite, the first that are met.
    """
    wanted, prefix = part.plan()
    check_names(part, wanted, prefix)

    def find(entry: Entry) -> np.ndarray:
        tensor = part.tensors[full_name(entry, prefix)]
        return tensor if entry.rows is None else tensor[slice(*entry.rows)]

    return unflatten(
        {
            path: make_array(leaf, sources, find, f"{part.where}: {path}")
            for path, (leaf, sources) in wanted.items()
        }
    )


def make_array(
    leaf: Any, sources: Sources, find: Callable[[Entry], np.ndarray], where: str
) -> jax.Array:
    """One parameter on its devices; only the rows that a device of this process holds are read."""
    shape = leaf.shape[1:] if sources.stacked else leaf.shape

    def fill(rows: np.ndarray, entry: Entry, index: tuple[slice, ...]) -> None:
        array = entry.transform.to_ours(find(entry))
        if entry.grid is not None and array.shape != shape:
            array = resize_positions(array, entry.grid, math.isqrt(shape[0] - entry.grid.before))
        rows[...] = array[index]
        if not np.isfinite(rows).all():
            raise WeightsError(f"{where}: {entry.name} holds weights that are NaN or infinite")

    def read(index: tuple[slice, ...]) -> np.ndarray:
        sizes = [len(range(*s.indices(n))) for s, n in zip(index, leaf.shape, strict=True)]
        rows = np.empty(sizes, leaf.dtype)
        if not sources.stacked:
            fill(rows, sources.entries[0], index)
            return rows
        for block, entry in zip(rows, sources.entries[index[0]], strict=True):
            fill(block, entry, index[1:])
        return rows

    if leaf.sharding is None:
        return jnp.asarray(read((slice(None),) * len(leaf.shape)))
    return place(leaf.shape, leaf.sharding, read)


def place(
    shape: tuple[int, ...],
    sharding: jax.sharding.Sharding,
    read: Callable[[tuple[slice, ...]], np.ndarray],
) -> jax.Array:
    """Makes an array of what this process' devices hold of it, one device after the other.

    `jax.make_array_from_callback` has the rows of all devices on the host at once, and asks for the same
    rows again for each replica.

    Args:
        shape: of the whole array.
        sharding: how it is laid over devices.
        read: the part of the array that slices along its axes cut out.
    """
    holders: dict[str, tuple[tuple[slice, ...], list[Any]]] = {}
    for device, index in sharding.addressable_devices_indices_map(shape).items():
        index = index or (slice(None),) * len(shape)
        holders.setdefault(str(index), (index, []))[1].append(device)
    arrays = []
    for index, devices in holders.values():
        rows = read(index)
        arrays += [jax.device_put(rows, device) for device in devices]
    return jax.make_array_from_single_device_arrays(shape, sharding, arrays)
