"""The index of the training photos: what a posterior needs of each of them, on the mesh."""

from collections.abc import Callable, Iterable, Mapping

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from geosurge_jax.models.sharding import TABLE_AXES
from geosurge_jax.systems.contract import Index

# Device batch -> {name: [B, ...]} and which photos they are, [B] each, on every process.
Rows = Callable[[Mapping[str, np.ndarray]], tuple[dict[str, jax.Array], jax.Array, jax.Array]]


def collect_index(
    rows: Rows, batches: Iterable[Mapping[str, np.ndarray]], latlng: np.ndarray, mesh: Mesh
) -> Index:
    """Runs over the training photos once.

    Every process holds all rows on its host for a moment; each device is given its own.

    Args:
        rows: what is kept of a batch, with the photos' positions and mask.
        batches: every photo of the split once, in batches of one crop.
        latlng: exact degrees `[M, 2]` of the split, by position.
        mesh: its table axes split the rows.

    Returns:
        The rows by name `[N, ...]`, `latlng float32 [N, 2]` and `valid float32 [N]`; N is the number of
        photos rounded up to what the mesh splits evenly. Photos that could not be read are not valid.
    """
    kept: dict[str, np.ndarray] = {}
    valid = np.zeros(len(latlng), np.float32)
    for batch in batches:
        found, position, mask = jax.device_get(rows(batch))
        real = mask > 0
        for name, value in found.items():
            if name not in kept:
                kept[name] = np.zeros((len(latlng), *value.shape[1:]), value.dtype)
            kept[name][position[real]] = value[real]
        valid[position[real]] = 1
    kept = {**kept, "latlng": latlng.astype(np.float32), "valid": valid}
    return {name: split_rows(value, mesh) for name, value in kept.items()}


def split_rows(array: np.ndarray, mesh: Mesh) -> jax.Array:
    """Places `[N, ...]` by rows over the mesh's table axes, with zeros behind it to split evenly."""
    shards = int(np.prod([mesh.shape[axis] for axis in TABLE_AXES]))
    rows = -(-len(array) // shards) * shards
    padding = np.zeros((rows - len(array), *array.shape[1:]), array.dtype)
    padded = np.concatenate([array, padding])
    sharding = NamedSharding(mesh, PartitionSpec(TABLE_AXES))
    return jax.make_array_from_callback(padded.shape, sharding, lambda part: padded[part])
