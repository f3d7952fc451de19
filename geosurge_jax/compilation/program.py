"""A compiled program and how often each part of it runs: what XLA's own cost analysis leaves out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from geosurge_jax.compilation.hlo import Computation, Instruction, Module, parse_module
from geosurge_jax.compilation.trip_counts import trip_count


@dataclass(frozen=True)
class Program:
    """A compiled program.

    Attributes:
        module: its computations.
        runs: for each computation whose instructions run as they stand (the entry, the bodies of loops and
            branches, but not the insides of fusions), how often it runs in one run of the program. Every
            branch of a conditional counts as taken.
        unknown_loops: names of the while loops whose length is not known; their bodies count as run once.
    """

    module: Module
    runs: Mapping[str, int]
    unknown_loops: tuple[str, ...]


@dataclass(frozen=True)
class Executed:
    """An instruction where it runs.

    Attributes:
        instruction: the instruction.
        computation: the computation that holds it.
        place: name of the computation of `Program.runs` within which it runs.
        runs: how often it runs.
        is_fused: whether it is inside a fusion, so that its operands and result need no memory.
        op_name: where in the traced function it, or else the fusion that holds it, comes from.
    """

    instruction: Instruction
    computation: Computation
    place: str
    runs: int
    is_fused: bool
    op_name: str


def parse_program(text: str) -> Program:
    """Reads a compiled program and counts how often its parts run.

    Args:
        text: what `jax.stages.Compiled.as_text()` returns: optimised HLO, partitioned, of one chip.

    Returns:
        The program.

    Raises:
        ValueError: the text is no HLO module.
    """
    module = parse_module(text)
    runs: dict[str, int] = {module.entry: 1}
    unknown: list[str] = []
    for name in _callers_first(module):
        computation = module.computations[name]
        for instruction in computation.instructions.values():
            trips: int | None = 1
            if instruction.opcode == "while":
                trips = trip_count(module, computation, instruction)
                if trips is None:
                    unknown.append(instruction.name)
            for called in _run_computations(instruction):
                runs[called] = runs.get(called, 0) + runs[name] * (1 if trips is None else trips)
    return Program(module, runs, tuple(unknown))


def executed(program: Program) -> Iterator[Executed]:
    """Every instruction that runs, those inside fusions included."""
    for place, runs in program.runs.items():
        for step in _inside(program.module, program.module.computations[place]):
            yield replace(step, place=place, runs=runs)


def _inside(module: Module, computation: Computation) -> Iterator[Executed]:
    """The instructions of a computation and of the fusions in it, as if it ran once."""
    for instruction in computation.instructions.values():
        op_name = instruction.op_name
        yield Executed(instruction, computation, computation.name, 1, False, op_name)
        called = instruction.called("calls") if instruction.opcode == "fusion" else None
        if called is not None:
            for step in _inside(module, module.computations[called]):
                yield replace(step, is_fused=True, op_name=step.op_name or op_name)


def _run_computations(instruction: Instruction) -> tuple[str, ...]:
    """Computations whose instructions run as they stand when this one runs."""
    opcode = instruction.opcode
    if opcode == "while":
        keys = ("condition", "body")
    elif opcode == "call":
        keys = ("to_apply",)
    elif opcode == "async-start":
        keys = ("calls",)
    elif opcode == "conditional":
        keys = ("true_computation", "false_computation")
    else:
        keys = ()
    found = [called for key in keys if (called := instruction.called(key)) is not None]
    for lists in ("branch_computations", "called_computations"):
        listed = instruction.attribute(rf"\b{lists}=\{{([^}}]*)\}}") or ""
        found += re.findall(r"%([\w.\-]+)", listed)
    return tuple(found)


def _callers_first(module: Module) -> list[str]:
    """The computations that run as they stand, each behind all that call it."""
    finished: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in finished:
            return
        for instruction in module.computations[name].instructions.values():
            for called in _run_computations(instruction):
                visit(called)
        finished[name] = None

    visit(module.entry)
    return list(reversed(finished))
