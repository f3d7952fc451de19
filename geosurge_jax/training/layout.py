"""Where each parameter lies: one table of path rules applied to a system's parameters, and its report."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jax.sharding import Mesh, PartitionSpec

from geosurge_jax.models.sharding import PartitionRules
from geosurge_jax.training.parameters import flatten


@dataclass(frozen=True)
class ParameterLayout:
    """How one parameter lies on a mesh.

    Attributes:
        path: `a/b/c`.
        shape: of the whole array.
        rule: pattern of the rule that decided.
        spec: its PartitionSpec.
        bytes_per_device: of this device's part.
    """

    path: str
    shape: tuple[int, ...]
    rule: str
    spec: PartitionSpec
    bytes_per_device: int


def plan_layout(
    params: Mapping[str, Any], rules: PartitionRules, mesh: Mesh
) -> tuple[ParameterLayout, ...]:
    """Gives every parameter the spec of the first rule that matches its path.

    Args:
        params: nested dict of arrays or shapes.
        rules: (regular expression searched in `a/b/c`, spec) pairs.
        mesh: the mesh.

    Returns:
        One row a parameter, in order of paths.

    Raises:
        ValueError: a parameter that no rule matches, a rule that matches no parameter, a spec with more
            axes than its parameter, or a dimension that does not split evenly; names the parameter, its
            shape and the axis.
    """
    unused = {pattern for pattern, _ in rules}
    rows = []
    for path, leaf in sorted(flatten(params).items()):
        shape = tuple(leaf.shape)
        matching = [(pattern, spec) for pattern, spec in rules if re.search(pattern, path)]
        if not matching:
            raise ValueError(
                f"parameter {path} {shape}: no partition rule matches; rules: "
                f"{[pattern for pattern, _ in rules]}"
            )
        pattern, spec = matching[0]
        unused.discard(pattern)
        parts = _parts(path, shape, spec, mesh)
        size = leaf.dtype.itemsize * math.prod(shape) // parts
        rows.append(ParameterLayout(path, shape, pattern, spec, size))
    if unused:
        raise ValueError(
            f"partition rules {sorted(unused)} decide for no parameter; paths: {[r.path for r in rows]}"
        )
    return tuple(rows)


def _parts(path: str, shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh) -> int:
    """Into how many different shards the mesh cuts an array; refuses uneven ones."""
    if len(spec) > len(shape):
        raise ValueError(f"parameter {path} {shape}: has fewer axes than {spec}")
    total = 1
    for size, axes in zip(shape, spec, strict=False):
        names = () if axes is None else (axes,) if isinstance(axes, str) else axes
        parts = math.prod(mesh.shape[name] for name in names)
        if size % parts:
            sizes = ", ".join(f"config.mesh.{name}={mesh.shape[name]}" for name in names)
            raise ValueError(
                f"parameter {path} {shape}: {size} does not split evenly over {parts} devices ({sizes})"
            )
        total *= parts
    return total


def layout_report(rows: Sequence[ParameterLayout], mesh: Mesh) -> str:
    """The layout as lines of text: a heading, one line a parameter, the sum."""
    axes = " x ".join(f"{axis} {size}" for axis, size in mesh.shape.items())
    cells = [
        (
            row.path,
            "x".join(map(str, row.shape)) or "scalar",
            _spec_text(row.spec),
            f"{row.bytes_per_device:,}",
            row.rule,
        )
        for row in rows
    ]
    header = ("parameter", "shape", "spec", "bytes a device", "rule")
    widths = [max(len(line[column]) for line in (header, *cells)) for column in range(4)]

    def line(values: tuple[str, ...]) -> str:
        path, shape, spec, size, rule = values
        return f"{path:{widths[0]}}  {shape:>{widths[1]}}  {spec:{widths[2]}}  {size:>{widths[3]}}  {rule}"

    whole = sum(row.bytes_per_device for row in rows)
    lines = [f"mesh: {axes}", line(header), *(line(row) for row in cells)]
    return "\n".join([*lines, f"parameters: {whole:,} bytes a device", ""])


def _spec_text(spec: PartitionSpec) -> str:
    """`(None, fsdp)`, the same on every version of jax."""
    names = [
        "+".join(axes) if isinstance(axes, tuple) else "-" if axes is None else axes
        for axes in spec
    ]
    return f"({', '.join(names)})" if names else "replicated"
