"""Safetensors files: one format that PyTorch, NumPy and JAX read alike, as views onto a mapped file.

The format is an 8-byte little-endian header length, a JSON header, and the tensors' bytes
(https://github.com/huggingface/safetensors). The library checks a file; the views are made here, because
its own reader copies each tensor.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import JSON_LIMIT, map_file, parse_json, quoted

FILE_MODE = 0o644  # the library makes files that their owner alone can read
_PREFIX = 8  # bytes of the header's length
_METADATA = "__metadata__"
_TYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(jnp.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def open_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Opens every tensor of a file as a read-only view; none is read before it is looked at.

    Returns:
        Arrays by name, of the types and shapes they were stored in.

    Raises:
        WeightsError: there is no such file, it is not whole, or a tensor is of a type that has no array.
    """
    header, data = _open(path)
    header.pop(_METADATA, None)
    return {name: _view(path, name, entry, data) for name, entry in header.items()}


def safetensors_metadata(path: Path) -> dict[str, str]:
    """Reads what a file says of itself beside its tensors; raises as `open_safetensors` does."""
    header, _ = _open(path)
    return header.get(_METADATA) or {}


def write_safetensors(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes arrays under their names; a failure may leave a part of the file.

    Raises:
        OSError: the file cannot be written.
    """
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    try:
        save_file(contiguous, path, metadata=dict(metadata))
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error})") from error
    path.chmod(FILE_MODE)


def _open(path: Path) -> tuple[dict[str, Any], memoryview]:
    """Checks a file, and parts it into its header and the bytes of its tensors."""
    content = map_file(path)
    length = int.from_bytes(content[:_PREFIX], "little")
    # The library's own limit is ten times as high, and parsed JSON takes many times its length.
    if length > JSON_LIMIT:
        raise WeightsError(
            f"{path}: not a whole safetensors file (a header of {length} bytes, at most "
            f"{JSON_LIMIT} are read)"
        )
    try:
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        reason = quoted(str(error).removeprefix("Error while deserializing header: "))
        raise WeightsError(f"{path}: not a whole safetensors file ({reason})") from error
    header = parse_json(bytes(content[_PREFIX : _PREFIX + length]), f"{path} (header)")
    return header, content[_PREFIX + length :]


def _view(path: Path, name: str, entry: Mapping[str, Any], data: memoryview) -> np.ndarray:
    if entry["dtype"] not in _TYPES:
        raise WeightsError(
            f"{path}: tensor {quoted(name)} is of type {quoted(entry['dtype'])}, one of "
            f"{', '.join(_TYPES)} was expected"
        )
    dtype, shape = _TYPES[entry["dtype"]], entry["shape"]
    begin, end = entry["data_offsets"]
    try:
        if end - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError("the file changed while it was opened")
        return np.ndarray(shape, dtype, buffer=data[begin:end])
    except ValueError as error:
        raise WeightsError(
            f"{path}: tensor {quoted(name)} of shape {quoted(shape)}: {error}"
        ) from error
