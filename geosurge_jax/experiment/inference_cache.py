"""Results that are costly to compute and depend on a model alone, kept on disk between processes."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.parameters import load_safetensors, save_safetensors
from geosurge_jax.models.sharding import TABLE_AXES
from geosurge_jax.systems.contract import Prepared

LOG = logging.getLogger(__name__)


def stored_once(
    folder: Path | None,
    name: str,
    compute: Callable[[], Prepared],
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    mesh: Mesh,
) -> Prepared:
    """Computes arrays, or reads those of the same name that an earlier process stored.

    A damaged file is computed again. A disk that cannot be written costs a warning and nothing else.

    Args:
        folder: of the cache; None to compute and store nothing.
        name: changes with everything that the arrays depend on.
        compute: makes them.
        shapes: of the arrays by name; a file with others is not used.
        mesh: the arrays are split by rows over its table axes.
    """
    if folder is None:
        return compute()
    path = folder / f"{name}.safetensors"
    if path.is_file():
        try:
            return _place(path, shapes, mesh)
        except (WeightsError, OSError, ValueError) as error:
            LOG.warning(
                "%s: computed again, since the stored file cannot be used (%s)", path, error
            )
    computed = compute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{name}.{os.getpid()}.safetensors"
        save_safetensors(unfinished, jax.device_get(computed), {})
        os.replace(unfinished, path)
    except OSError as error:
        LOG.warning("%s: could not be stored (%s); the next process computes it again", path, error)
    return computed


def _place(path: Path, shapes: Mapping[str, jax.ShapeDtypeStruct], mesh: Mesh) -> Prepared:
    arrays, _ = load_safetensors(path)
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    expected = {name: (shape.shape, np.dtype(shape.dtype)) for name, shape in shapes.items()}
    if found != expected:
        raise ValueError(f"holds {found}, expected {expected}")
    sharding = NamedSharding(mesh, PartitionSpec(TABLE_AXES))
    return {name: jax.device_put(array, sharding) for name, array in arrays.items()}
