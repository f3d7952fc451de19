"""Tensors of a model's directory into parameters on their devices, and parameters back into tensors."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.interop.family import Family, WeightsError
from geosurge_jax.interop.foreign_file import quoted
from geosurge_jax.interop.model_directory import StoredModel
from geosurge_jax.interop.positions import resize_positions
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.models.vit_config import ViTConfig
from geosurge_jax.systems.contract import Params
from geosurge_jax.training.parameters import flatten, unflatten

BLOCK = re.compile(r"(frozen_|trained_|)blocks(_\d+|)/(.+)")
FLOATS = {np.dtype(t) for t in (np.float16, np.float32, np.float64, jnp.bfloat16)}
LISTED = 12


@dataclass(frozen=True)
class Sources:
    """Where one parameter of a model comes from.

    Attributes:
        entries: one, or one for each block of a scanned stack.
        stacked: whether the parameter has a leading axis over them.
    """

    entries: tuple[Entry, ...]
    stacked: bool


def find_sources(
    shapes: Mapping[str, Any], entries: Sequence[Entry], frozen_blocks: int
) -> dict[str, Sources]:
    """The entries behind each parameter, blocks counted through frozen and trained stacks.

    Args:
        shapes: arrays or shapes by path.
        entries: the map.
        frozen_blocks: how many blocks stand in the frozen stack.
    """
    by_path = {entry.path: entry for entry in entries}
    found = {}
    for path, leaf in shapes.items():
        match = BLOCK.fullmatch(path)
        numbers: Sequence[int] = (0,)
        if match:
            first = frozen_blocks if match[1] == "trained_" else 0
            numbers = (
                [first + int(match[2][1:])] if match[2] else range(first, first + leaf.shape[0])
            )
        names = [f"blocks/{number:02d}/{match[3]}" for number in numbers] if match else [path]
        found[path] = Sources(tuple(by_path[name] for name in names), bool(match) and not match[2])
    return found


@dataclass(frozen=True)
class Part:
    """One part of a model, to be read from the files of others.

    Attributes:
        name: for messages.
        where: the directory or file, for messages.
        tensors: views of files, by their names there.
        entries: the map.
        shapes: nested dict of `jax.ShapeDtypeStruct`, with shardings where there is a mesh.
        prefixes: what the tensors' names may begin with.
        ignored: patterns of tensors that may be there too.
        frozen_blocks: how many blocks stand in the frozen stack.
    """

    name: str
    where: Path
    tensors: Mapping[str, np.ndarray]
    entries: tuple[Entry, ...]
    shapes: Params
    prefixes: tuple[str, ...] = ("",)
    ignored: tuple[str, ...] = ()
    frozen_blocks: int = 0

    def plan(self) -> tuple[dict[str, tuple[Any, Sources]], str]:
        """Shape and sources of each parameter by path, and the prefix of their names."""
        flat = flatten(self.shapes)
        sources = find_sources(flat, self.entries, self.frozen_blocks)
        return {path: (flat[path], sources[path]) for path in flat}, choose_prefix(self)


def part_of(stored: StoredModel, family: Family, config: Any, shapes: Params) -> Part:
    """The part of a stored model that a config of its family describes."""
    return Part(
        name=family.name,
        where=stored.directory,
        tensors=stored.tensors,
        entries=family.entries(config),
        shapes=shapes,
        prefixes=family.prefixes,
        ignored=family.ignored,
        frozen_blocks=frozen_blocks(config),
    )


def frozen_blocks(config: Any) -> int:
    """How many blocks of a part stand in a frozen stack: only Vision Transformers have one."""
    return config.segments[0] if isinstance(config, ViTConfig) else 0


def check_part(part: Part) -> None:
    """Finds all that is wrong with the tensors of a part; reads each of them once.

    Raises:
        WeightsError: lists tensors that are missing, unexpected, of another shape or type, or hold numbers
            that are not finite.
    """
    wanted, prefix = part.plan()
    check_names(part, wanted, prefix)
    names = {full_name(e, prefix) for _, sources in wanted.values() for e in sources.entries}
    bad = [name for name in sorted(names) if not np.isfinite(part.tensors[name]).all()]
    if bad:
        lines = "\n  ".join(listed("not finite", bad))
        raise WeightsError(f"{part.where}: weights that are NaN or infinite:\n  {lines}")


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


def full_name(entry: Entry, prefix: str) -> str:
    """The name in the file."""
    return prefix + entry.name if entry.prefixed else entry.name


def choose_prefix(part: Part) -> str:
    """The prefix under which most of the part's tensors are there."""

    def there(prefix: str) -> int:
        return sum(full_name(entry, prefix) in part.tensors for entry in part.entries)

    return max(part.prefixes, key=there)


def check_names(part: Part, wanted: Mapping[str, tuple[Any, Sources]], prefix: str) -> None:
    """Compares a file's tensors with those that a part needs.

    Raises:
        WeightsError: lists what is missing, unexpected, or of another shape or type.
    """
    tensors = part.tensors
    used: dict[str, int] = {}
    missing, wrong = [], []
    for leaf, sources in wanted.values():
        shape = leaf.shape[1:] if sources.stacked else leaf.shape
        for entry in sources.entries:
            name = full_name(entry, prefix)
            if name not in tensors:
                missing.append(name)
                continue
            expected = entry.transform.to_theirs(np.broadcast_to(np.float32(0), shape)).shape
            used[name] = max(used.get(name, 0), entry.rows[1] if entry.rows else 0)
            tensor = tensors[name]
            if tensor.dtype not in FLOATS:
                wrong.append(f"{name} is of type {tensor.dtype}, expected floating-point numbers")
            elif not fits(tensor.shape, expected, entry):
                wrong.append(f"{name} is {list(tensor.shape)}, expected {list(expected)}")
    for name, rows in used.items():
        if rows and rows != tensors[name].shape[0]:
            wrong.append(f"{name} has {tensors[name].shape[0]} rows, expected {rows}")
    ignored = [re.compile(pattern) for pattern in part.ignored]
    extra = [
        name
        for name, tensor in tensors.items()
        if name not in used and tensor.size and not any(p.search(name) for p in ignored)
    ]
    problems = [
        *listed("missing", sorted(set(missing))),
        *listed("unexpected", sorted(extra)),
        *listed("differs", wrong),
    ]
    if problems:
        raise WeightsError(
            f"{part.where}: not the weights of this {part.name}:\n  " + "\n  ".join(problems)
        )


def fits(shape: tuple[int, ...], expected: tuple[int, ...], entry: Entry) -> bool:
    """Whether a tensor has the shape that its parameter needs, or one that is brought to it."""
    if entry.rows is not None:
        first, end = entry.rows
        return len(shape) == len(expected) and shape[1:] == expected[1:] and shape[0] >= end
    if entry.grid is None or shape == expected:
        return shape == expected
    theirs = shape[-2] - entry.grid.before if len(shape) == len(expected) >= 2 else -1
    return theirs > 0 and shape[-1] == expected[-1] and math.isqrt(theirs) ** 2 == theirs


def listed(title: str, names: Sequence[str]) -> list[str]:
    """Lines for a message, not more than a terminal holds."""
    more = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
    shown = [name if name.isprintable() else quoted(name) for name in names[:LISTED]]
    return [f"{title}: {name}" for name in shown] + [f"{title}: {m}" for m in more]


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


def to_tensors(params: Params, family: Family, config: Any) -> dict[str, np.ndarray]:
    """The inverse of `load_part`, under the first prefix of the family.

    Args:
        params: host arrays.
        family: how the part is laid out.
        config: of the part.

    Returns:
        Arrays by the name they have in the files of others.
    """
    flat = flatten(params)
    tensors: dict[str, np.ndarray] = {}
    shared: dict[str, dict[int, np.ndarray]] = {}
    for path, sources in find_sources(flat, family.entries(config), frozen_blocks(config)).items():
        for number, entry in enumerate(sources.entries):
            ours = np.asarray(flat[path])
            theirs = entry.transform.to_theirs(ours[number] if sources.stacked else ours)
            name = full_name(entry, family.prefixes[0])
            if entry.rows is None:
                tensors[name] = theirs
            else:
                shared.setdefault(name, {})[entry.rows[0]] = theirs
    for name, parts in shared.items():
        tensors[name] = np.concatenate([parts[first] for first in sorted(parts)])
    return tensors
