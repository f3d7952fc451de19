"""Bare parameters as safetensors, by slash-joined paths."""

from collections.abc import Mapping
from pathlib import Path

from geosurge_jax.interop.safetensors_file import (
    open_safetensors,
    safetensors_metadata,
    write_safetensors,
)
from geosurge_jax.systems.contract import Params
from geosurge_jax.training.parameters import flatten, unflatten


def save_safetensors(path: Path, params: Params, metadata: Mapping[str, str]) -> None:
    """Writes parameters under their slash-joined paths.

    Args:
        path: file to write.
        params: nested dict of host arrays; bfloat16 stays bfloat16.
        metadata: what else is to be known about them.

    Raises:
        OSError: the file cannot be written.
    """
    write_safetensors(path, flatten(params), metadata)


def load_safetensors(path: Path) -> tuple[Params, dict[str, str]]:
    """Opens what `save_safetensors` wrote.

    Returns:
        Nested dict of NumPy arrays in the types they were stored in, read-only views onto the file, and the
        metadata.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: not a whole safetensors file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such safetensors file")
    return unflatten(open_safetensors(path)), safetensors_metadata(path)
