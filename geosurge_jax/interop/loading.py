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

    def ours(entry: Entry, index: tuple[slice, ...]) -> np.ndarray:
        array = entry.transform.to_ours(find(entry))
        if entry.grid is not None and array.shape != shape:
            array = resize_positions(array, entry.grid, math.isqrt(shape[0] - entry.grid.before))
        piece = np.array(array[index], leaf.dtype, order="C")
        if not np.isfinite(piece).all():
            raise WeightsError(f"{where}: {entry.name} holds weights that are NaN or infinite")
        return piece

    def read(index: tuple[slice, ...] | None) -> np.ndarray:
        index = index or (slice(None),) * len(leaf.shape)
        if not sources.stacked:
            return ours(sources.entries[0], index)
        return np.stack([ours(entry, index[1:]) for entry in sources.entries[index[0]]])

    if leaf.sharding is None:
        return jnp.asarray(read(None))
    return jax.make_array_from_callback(leaf.shape, leaf.sharding, read)
