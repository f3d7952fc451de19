"""What the chips say to each other in one run of a compiled program."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from geosurge_jax.compilation.hlo import Instruction, Shape
from geosurge_jax.compilation.program import Executed, Program, executed

# Bytes that a chip receives, at the least, for operands of so many bytes among so many chips: what a ring
# moves, which is also the lower bound of any algorithm that moves whole elements.
RECEIVED: dict[str, Callable[[int, int], float]] = {
    "all-gather": lambda operand, group: operand * (group - 1),
    "all-reduce": lambda operand, group: 2 * operand * (group - 1) / group,
    "reduce-scatter": lambda operand, group: operand * (group - 1) / group,
    "all-to-all": lambda operand, group: operand * (group - 1) / group,
    "collective-permute": lambda operand, group: operand,
}


@dataclass(frozen=True)
class LargestCollective:
    """The collective of a kind that receives most at once.

    Attributes:
        bytes_received: in one run of it.
        shapes: the arrays it takes, as `bf16[1024,128]`.
        group: chips that take part.
        op_name: where in the traced function it comes from.
    """

    bytes_received: int
    shapes: str
    group: int
    op_name: str


@dataclass(frozen=True)
class Collective:
    """All collectives of a kind.

    Attributes:
        kind: all-gather, all-reduce, reduce-scatter, all-to-all or collective-permute.
        count: how many run in one run of the program.
        bytes_received: by a chip in one run of the program: of an operand of n bytes among g chips n(g-1)
            for an all-gather, 2n(g-1)/g for an all-reduce, n(g-1)/g for a reduce-scatter or all-to-all,
            n for a permute.
        largest: the one that receives most at once.
    """

    kind: str
    count: int
    bytes_received: int
    largest: LargestCollective


@dataclass(frozen=True)
class CollectiveRun:
    """One collective of the program.

    Attributes:
        instruction: the instruction that starts it.
        kind: what it is in effect.
        runs: how often it runs.
        operands: arrays that a chip puts in.
        group: chips that take part.
        op_name: where in the traced function it comes from.
    """

    instruction: Instruction
    kind: str
    runs: int
    operands: tuple[Shape, ...]
    group: int
    op_name: str

    @property
    def bytes_received(self) -> float:
        """By a chip, in one run of it."""
        return RECEIVED[self.kind](sum(shape.bytes for shape in self.operands), self.group)


def collectives(program: Program) -> tuple[Collective, ...]:
    """Sums the collectives of a program by kind.

    Args:
        program: the compiled program.

    Returns:
        The kinds that occur, most bytes first.
    """
    by_kind: dict[str, list[CollectiveRun]] = {}
    for run in collective_runs(program):
        by_kind.setdefault(run.kind, []).append(run)
    summed = []
    for kind, runs in by_kind.items():
        top = max(runs, key=lambda run: run.bytes_received)
        summed.append(
            Collective(
                kind=kind,
                count=sum(run.runs for run in runs),
                bytes_received=round(sum(run.runs * run.bytes_received for run in runs)),
                largest=LargestCollective(
                    bytes_received=round(top.bytes_received),
                    shapes=" ".join(map(str, top.operands)),
                    group=top.group,
                    op_name=top.op_name,
                ),
            )
        )
    return tuple(sorted(summed, key=lambda one: (-one.bytes_received, one.kind)))


def collective_runs(program: Program) -> tuple[CollectiveRun, ...]:
    """The collectives of a program, each once however many instructions the compiler cut it into.

    Raises:
        ValueError: the groups of one are written in a form not known here.
    """
    found: list[CollectiveRun] = []
    parts: dict[tuple[str, str, str], list[Executed]] = {}
    for step in executed(program):
        kind = _kind(step)
        if kind is None:
            continue
        channel = step.instruction.attribute(r"channel_id=(\d+)")
        if step.is_fused and channel is not None:
            parts.setdefault((step.place, kind, channel), []).append(step)
        else:
            found.append(_collective_run(program, kind, step))
    for (_, kind, _), steps in parts.items():
        found += [_collective_run(program, kind, step) for step in _starts(steps)]
    return tuple(found)


def gathers_of_rows(program: Program, rows: int) -> tuple[Instruction, ...]:
    """Collectives that touch an array with a dimension of this size, to prove that no table is gathered.

    A table of so many rows that is split over chips has fewer on each; where one is put together, whether
    by an all-gather, an all-to-all, or an all-reduce of a padded array, the whole number of rows shows up.
    A table that is handed round shard by shard in a loop shows up under the rows of a shard.

    Args:
        program: the compiled program.
        rows: rows of the whole table; choose a number that no other dimension has.

    Returns:
        The instructions that start such collectives; empty where there are none.
    """
    touching = []
    for run in collective_runs(program):
        shapes = (*run.operands, *run.instruction.shapes)
        if any(rows in shape.dimensions for shape in shapes):
            touching.append(run.instruction)
    return tuple(touching)


def _kind(step: Executed) -> str | None:
    """Which collective an instruction starts or is; None where it is none, or finishes one."""
    kind = step.instruction.opcode.removesuffix("-start")
    if kind not in RECEIVED:
        return None
    # The TPU compiler writes a reduce-scatter as a fusion of an all-reduce and the chip's slice of it.
    if kind == "all-reduce" and step.is_fused:
        users = step.computation.users[step.instruction.name]
        if users and all(user.opcode == "dynamic-slice" for user in users):
            return "reduce-scatter"
    return kind


def _starts(steps: list[Executed]) -> list[Executed]:
    """Of the fused parts of one collective, those that start it.

    The TPU compiler overlaps a collective with computation by repeating its instruction in several fusions:
    one starts it, some carry it on beside other work, one waits for it.
    """
    starts = [
        step
        for step in steps
        if any(
            'custom_call_target="AsyncCollectiveStart"' in user.attributes
            for user in step.computation.users[step.instruction.name]
        )
    ]
    return starts or steps[:1]


def _collective_run(program: Program, kind: str, step: Executed) -> CollectiveRun:
    """Puts together what is known of a collective."""
    operands = step.computation.operands(step.instruction)
    return CollectiveRun(
        instruction=step.instruction,
        kind=kind,
        runs=step.runs,
        operands=tuple(shape for operand in operands for shape in operand.shapes),
        group=_group(step.instruction, program.module.devices),
        op_name=step.op_name,
    )


def _group(instruction: Instruction, devices: int) -> int:
    """Chips that take part in a collective, from any of the forms in which XLA prints groups."""
    text = instruction.attributes
    if "source_target_pairs=" in text or "replica_groups={}" in text:
        return devices
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", text):
        return len(listed.group(1).split(","))
    if iota := re.search(r"replica_groups=\[\d+,(\d+)\]<=", text):
        return int(iota.group(1))
    # mesh['a'=2,'b'=4] {'b'}; a part of an axis is printed as 'b':(1)2, which counts 2.
    if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", text):
        sizes = dict(axis.split("=") for axis in mesh.group(1).split(","))
        axes = [axis.strip() for axis in mesh.group(2).split(",") if axis.strip()]
        return prod(
            int(axis.rpartition(")")[2]) if ":(" in axis else int(sizes[axis]) for axis in axes
        )
    raise ValueError(
        f"compiled program: {instruction.name}{text[:120]}: expected replica_groups as {{{{0,1}}}}, "
        "[1,2]<=[2] or mesh[...]"
    )
