"""Files of torch.save that hold a state dict, as views onto the mapped file, without torch.

Two layouts are read: the zip archive of torch 1.6 and later (`FOLDER/data.pkl`, and the bytes of each storage
as `FOLDER/data/KEY`), and the older one, five pickles with the storages behind them. Both are those of
`torch/serialization.py`. Their pickles are read as data (`pickled.py`) and no code in them can run.
"""

from pathlib import Path

import numpy as np

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import map_file, quoted
from geosurge_jax.interop.pickled import BYTES_LIMIT, read_pickle
from geosurge_jax.interop.stored_zip import stored_entries
from geosurge_jax.interop.torch_tensors import Tensor, read_tensors, tensor_view

_WRAPPERS = ("state_dict", "model")
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LENGTH = 8  # bytes of the count before a storage in the older layout


def open_torch(path: Path) -> dict[str, np.ndarray]:
    """Opens every tensor of a state dict as a read-only view; none is read before it is looked at.

    A state dict is a flat mapping from names to tensors. It may be the entry "state_dict" or "model" of a
    checkpoint, of which nothing else is returned; a bare tensor has the name "".

    Returns:
        Arrays by name, of the types and shapes they were saved in. Tensors that share a storage share
        their bytes here too.

    Raises:
        WeightsError: no file of torch.save, not a whole one, something else than a state dict, a tensor
            that does not lie in its storage, or a pickle that asks for more than tensors.
    """
    content = map_file(path)
    begin = bytes(content[:16])
    if begin.startswith(b"PK\3\4"):
        state, storages = _open_zip(content, str(path))
    elif begin.startswith(b"\x80"):
        state, storages = _open_legacy(content, str(path))
    elif bytes(content[257:262]) == b"ustar":
        raise WeightsError(
            f"{path}: a tar archive, as torch wrote before 2017; save it again with a later torch"
        )
    else:
        raise WeightsError(
            f"{path}: begins with {quoted(begin)}, a file of torch.save (zip or pickle) was expected"
        )
    return {
        name: tensor_view(f"{path}: tensor {quoted(name)}", tensor, storages[tensor.storage.key])
        for name, tensor in _tensors(str(path), state).items()
    }


def _tensors(source: str, state: object) -> dict[str, Tensor]:
    if isinstance(state, Tensor):
        return {"": state}
    if isinstance(state, dict):
        for wrapper in _WRAPPERS:
            if isinstance(state.get(wrapper), dict):
                state = state[wrapper]
                break
    if not isinstance(state, dict):
        raise WeightsError(f"{source}: holds {type(state).__name__}, a state dict was expected")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"{source}: entry {quoted(name)} is {type(value).__name__}, a tensor by its name was "
                "expected"
            )
    return state


def _open_zip(content: memoryview, source: str) -> tuple[object, dict[str, memoryview]]:
    entries = stored_entries(content, source)
    folder = next(iter(entries)).split("/")[0]
    if f"{folder}/constants.pkl" in entries:
        raise WeightsError(f"{source}: a TorchScript program, a state dict was expected")
    if bytes(entries.get(f"{folder}/byteorder", b"little")[:16]) != b"little":
        raise WeightsError(f"{source}: {folder}/byteorder is not little")
    pickle = entries.get(f"{folder}/data.pkl")
    if pickle is None or len(pickle) > BYTES_LIMIT:
        found = "no such entry" if pickle is None else f"{len(pickle)} bytes"
        raise WeightsError(
            f"{source}: {folder}/data.pkl: {found}, a pickle of at most {BYTES_LIMIT} was expected"
        )
    state, storages, _ = read_tensors(pickle, f"{source}: {folder}/data.pkl")
    found = {}
    for key, storage in storages.items():
        found[key] = entries.get(f"{folder}/data/{key}")
        length = storage.count * storage.dtype.itemsize
        if found[key] is None or len(found[key]) != length:
            present = "no such entry" if found[key] is None else f"{len(found[key])} bytes"
            name = quoted(f"{folder}/data/{key}")
            raise WeightsError(f"{source}: storage {name}: {present}, {length} bytes were promised")
    return state, found


def _open_legacy(content: memoryview, source: str) -> tuple[object, dict[str, memoryview]]:
    position = _after_heads(content, source)
    state, storages, length = read_tensors(content[position:], f"{source}: state")
    position += length
    keys, length = read_pickle(content[position:], f"{source}: storage keys", {}, _no_storage)
    position += length
    if not isinstance(keys, list) or any(not isinstance(key, str) for key in keys):
        raise WeightsError(f"{source}: its storage keys are no list of strings")
    if sorted(keys) != sorted(storages):
        raise WeightsError(f"{source}: its storage keys are not those that its tensors name")
    found = {}
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(content[position : position + _LENGTH], "little", signed=True)
        begin = position + _LENGTH
        position = begin + storage.count * storage.dtype.itemsize
        if count != storage.count or position > len(content):
            raise WeightsError(
                f"{source}: storage {quoted(key)}: {count} elements and {max(len(content) - begin, 0)} "
                f"bytes left, {storage.count} elements of {storage.dtype} were promised"
            )
        found[key] = content[begin:position]
    if position != len(content):
        raise WeightsError(f"{source}: {len(content) - position} bytes behind the last storage")
    return state, found


def _after_heads(content: memoryview, source: str) -> int:
    """Checks the three pickles before the state, and says where that begins."""
    magic, position = read_pickle(content, f"{source}: magic number", {}, _no_storage)
    if magic != _LEGACY_MAGIC:
        raise WeightsError(f"{source}: a pickle, but none of torch.save")
    protocol, length = read_pickle(content[position:], f"{source}: protocol", {}, _no_storage)
    position += length
    if protocol != _LEGACY_PROTOCOL:
        raise WeightsError(f"{source}: not of protocol {_LEGACY_PROTOCOL}")
    system, length = read_pickle(content[position:], f"{source}: system", {}, _no_storage)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError(f"{source}: its system does not say that it is little-endian")
    return position + length


def _no_storage(identity: object) -> object:
    raise ValueError("names a storage where there is none")
