"""Tensors as the pickles of torch describe them, and as views of the bytes that they describe."""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted
from geosurge_jax.interop.pickled import ORDERED_DICT, Function, read_pickle

_DIMENSIONS_LIMIT = 32
_NUMBERS_LIMIT = 2**63
_EMPTY_LIMIT = 2**56  # an array without elements may still have axes, whose product NumPy bounds
_STORAGE_TYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(jnp.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


@dataclass(frozen=True)
class Storage:
    """A flat array that is kept outside of the pickle.

    Attributes:
        key: its name in the file.
        dtype: type of its elements.
        count: number of elements that it is said to have.
    """

    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage as a pickle describes it; nothing of it is checked yet.

    Attributes:
        storage: where its elements lie.
        offset: first element.
        size: number of elements along each axis.
        stride: elements from one to the next along each axis.
    """

    storage: Storage
    offset: int
    size: tuple
    stride: tuple


def read_tensors(content: memoryview, source: str) -> tuple[object, dict[str, Storage], int]:
    """Reads a pickle of tensors.

    Args:
        content: the pickle, and whatever follows it.
        source: where it stands, for messages.

    Returns:
        The object with a `Tensor` for each tensor and parameter, the storages that it names by key, and the
        length of the pickle in bytes.

    Raises:
        WeightsError: not a whole pickle, or one of something else.
    """
    storages: dict[str, Storage] = {}

    def storage(identity: object) -> Storage:
        match identity:
            # The older layout says last whether it is a part of another storage, which it is not since 2017.
            case ("storage", np.dtype() as dtype, str(key), str(), int(count), *part):
                if 0 <= count < _NUMBERS_LIMIT and part in ([], [None]):
                    described = Storage(key, dtype, count)
                    if storages.setdefault(key, described) != described:
                        raise ValueError(f"storage {quoted(key)} is described in two ways")
                    return described
        raise ValueError("a storage that is not whole or has no type, key and length")

    known = {("torch", name): dtype for name, dtype in _STORAGE_TYPES.items()} | {
        ("collections", "OrderedDict"): ORDERED_DICT,
        ("torch._utils", "_rebuild_tensor_v2"): Function(_rebuild_tensor),
        ("torch._utils", "_rebuild_parameter"): Function(_rebuild_parameter),
    }
    state, length = read_pickle(content, source, known, storage)
    return state, storages, length


def _rebuild_tensor(arguments: tuple) -> Tensor:
    match arguments:
        case (Storage() as storage, int(offset), tuple(size), tuple(stride), bool(), dict(), *bits):
            if any(bits):
                raise ValueError("a tensor whose sign or conjugate is put off")
            return Tensor(storage, offset, size, stride)
    raise ValueError("a tensor without storage, offset, size and stride")


def _rebuild_parameter(arguments: tuple) -> Tensor:
    match arguments:
        case (Tensor() as tensor, bool(), dict()):
            return tensor
    raise ValueError("a parameter without a tensor")


def tensor_view(source: str, tensor: Tensor, data: memoryview) -> np.ndarray:
    """Makes an array of a tensor.

    Args:
        source: file and name, for messages.
        tensor: what the pickle says.
        data: the bytes of its storage, all of them.

    Returns:
        A view of `data`, of the tensor's size and stride.

    Raises:
        WeightsError: a part of it would lie outside of the storage, or its elements outnumber the storage's.
    """
    offset, size, stride = tensor.offset, tensor.size, tensor.stride
    if len(size) != len(stride) or len(size) > _DIMENSIONS_LIMIT:
        raise WeightsError(
            f"{source}: {len(size)} axes and {len(stride)} strides, as many of both were expected, at most "
            f"{_DIMENSIONS_LIMIT}"
        )
    if any(type(n) is not int or not 0 <= n < _NUMBERS_LIMIT for n in (offset, *size, *stride)):
        raise WeightsError(
            f"{source}: offset, size and stride must be whole numbers from 0 to 2^63"
        )
    count, dtype = tensor.storage.count, tensor.storage.dtype
    described = f"{source} of size {size}, stride {stride}, offset {offset}"
    if math.prod(size) > count:
        raise WeightsError(f"{described}: has more elements than its storage, {count}")
    if not math.prod(size):
        if math.prod(n for n in size if n) > _EMPTY_LIMIT:
            raise WeightsError(f"{described}: too large for an array, though empty")
        return np.frombuffer(b"", dtype).reshape(size)
    if offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) >= count:
        raise WeightsError(f"{described}: leads out of its storage of {count} elements")
    # The stride of an axis of one element is never taken, and may be any number.
    strides = [s * dtype.itemsize if n > 1 else 0 for n, s in zip(size, stride, strict=True)]
    return np.ndarray(size, dtype, data, offset * dtype.itemsize, strides)
