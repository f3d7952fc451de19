"""Bare parameters as safetensors: one file that PyTorch, NumPy and JAX read alike."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from geosurge_jax.systems.contract import Params
from geosurge_jax.training.parameters import flatten, unflatten

FILE_MODE = 0o644  # the library makes files that their owner alone can read


def save_safetensors(path: Path, params: Params, metadata: Mapping[str, str]) -> None:
    """Writes parameters under their slash-joined paths.

    Args:
        path: file to write.
        params: nested dict of host arrays; bfloat16 stays bfloat16.
        metadata: what else is to be known about them.

    Raises:
        OSError: the file cannot be written.
    """
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in flatten(params).items()}
    try:
        save_file(arrays, path, metadata=dict(metadata))
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error})") from error
    path.chmod(FILE_MODE)


def load_safetensors(path: Path) -> tuple[Params, dict[str, str]]:
    """Reads what `save_safetensors` wrote.

    Returns:
        Nested dict of NumPy arrays in the types they were stored in, and the metadata.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a whole safetensors file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such safetensors file")
    try:
        with safe_open(path, framework="np") as file:
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error})") from error
    return unflatten(flat), metadata
