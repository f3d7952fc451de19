"""One part of a model in the files of others: which tensors it takes, and what is wrong with them."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from geosurge_jax.interop.family import Family, WeightsError
from geosurge_jax.interop.foreign_file import quoted
from geosurge_jax.interop.model_directory import StoredModel
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.models.vit_config import ViTConfig
from geosurge_jax.systems.contract import Params
from geosurge_jax.training.parameters import flatten

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


def read_config(stored: StoredModel, family: Family) -> Any:
    """What a directory's description says about a part.

    Raises:
        WeightsError: an entry that is not supported, or of a kind that it should not be; one line.
    """
    try:
        return family.read(stored.config, stored.preprocessor)
    except WeightsError as error:
        raise WeightsError(f"{stored.directory}: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Whatever a description of other kinds than numbers and lists makes of the arithmetic on them.
        raise WeightsError(
            f"{stored.directory}: config.json and preprocessor_config.json do not describe a "
            f"{family.name} ({quoted(str(error))})"
        ) from error


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
        if rows and tensors[name].shape[:1] != (rows,):
            wrong.append(f"{name} is {list(tensors[name].shape)}, expected {rows} rows")
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
    others = shape[:-2] + shape[-1:], expected[:-2] + expected[-1:]
    if len(shape) < 2 or others[0] != others[1]:
        return False
    grid = shape[-2] - entry.grid.before
    return grid > 0 and math.isqrt(grid) ** 2 == grid


def listed(title: str, names: Sequence[str]) -> list[str]:
    """Lines for a message, not more than a terminal holds."""
    more = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
    shown = [name if name.isprintable() else quoted(name) for name in names[:LISTED]]
    return [f"{title}: {name}" for name in shown] + [f"{title}: {m}" for m in more]
