"""The text that XLA prints of a compiled program, as data: shapes, instructions, computations."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

# f32[8,128]{1,0:T(8,128)S(1)}: element type, dimensions, layout with tiles and memory space.
_SHAPE = re.compile(r"([a-z]\w*)\[([\d,<=]*)\](?:\{([^}]*)\})?")
_MEMORY_SPACE = re.compile(r"S\((\d+)\)")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%([\w.\-]+) = (.*)$")
_COMPUTATION = re.compile(r"^(ENTRY )?%([\w.\-]+) .*\{$")
_OPERAND = re.compile(r"%([\w.\-]+)")
_PARENTHESIS = re.compile(r"[()]")


@dataclass(frozen=True)
class Shape:
    """An array on one chip.

    Attributes:
        element: XLA's name of the element type, as `bf16`.
        dimensions: sizes.
        memory_space: 0 is the chip's large memory; on a TPU 1 is on-chip vector memory, others are smaller.
    """

    element: str
    dimensions: tuple[int, ...]
    memory_space: int = 0

    @property
    def bits(self) -> int:
        """Width of an element; 0 for tokens and other things that hold no data."""
        if self.element == "pred":
            return 8
        digits = re.search(r"\d+", self.element)
        return int(digits.group()) if digits else 0

    @property
    def bytes(self) -> int:
        """Size without the padding of tiles."""
        return (prod(self.dimensions) * self.bits + 7) // 8

    def __str__(self) -> str:
        return f"{self.element}[{','.join(map(str, self.dimensions))}]"


@dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
        name: unique in the program.
        opcode: as `fusion`, `dot`, `all-gather-start`.
        shapes: arrays of the result, tuples flattened.
        operands: names of the operands, all of the same computation.
        literal: what stands between the parentheses: a constant's value, a parameter's number.
        attributes: everything behind the parentheses.
    """

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    literal: str
    attributes: str

    def attribute(self, pattern: str) -> str | None:
        """The first group of a regular expression searched in the attributes, or None."""
        found = re.search(pattern, self.attributes)
        return found.group(1) if found else None

    def called(self, key: str) -> str | None:
        """The computation named by `key=%name`, or None."""
        return self.attribute(rf"\b{key}=%([\w.\-]+)")

    @property
    def op_name(self) -> str:
        """Where in the traced function it comes from, as JAX noted it."""
        return self.attribute(r'op_name="([^"]*)"') or ""


@dataclass(frozen=True)
class Computation:
    """A list of instructions that runs as one.

    Attributes:
        name: unique in the program.
        instructions: by name, operands before their users.
        root: name of the instruction that gives the result.
    """

    name: str
    instructions: Mapping[str, Instruction]
    root: str

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters in order."""
        found = [x for x in self.instructions.values() if x.opcode == "parameter"]
        return tuple(x.name for x in sorted(found, key=lambda x: int(x.literal)))

    @cached_property
    def users(self) -> Mapping[str, tuple[Instruction, ...]]:
        """The instructions that take each instruction as an operand."""
        users: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
        for instruction in self.instructions.values():
            for operand in dict.fromkeys(instruction.operands):
                users[operand].append(instruction)
        return {name: tuple(found) for name, found in users.items()}

    def operands(self, instruction: Instruction) -> tuple[Instruction, ...]:
        """The instructions that an instruction of this computation takes."""
        return tuple(self.instructions[name] for name in instruction.operands)


@dataclass(frozen=True)
class Module:
    """A whole program as printed.

    Attributes:
        computations: by name.
        entry: name of the computation that the program starts with.
        devices: chips that run it together.
    """

    computations: Mapping[str, Computation]
    entry: str
    devices: int


def parse_module(text: str) -> Module:
    """Reads what `jax.stages.Compiled.as_text()` returns.

    Raises:
        ValueError: the text has no entry computation, so it is no HLO module.
    """
    computations: dict[str, Computation] = {}
    entry, name, root = "", "", ""
    instructions: dict[str, Instruction] = {}
    for line in text.splitlines():
        if not line.startswith((" ", "\t")):
            if header := _COMPUTATION.match(line):
                name, instructions = header.group(2), {}
                entry = name if header.group(1) else entry
            elif line.startswith("}") and name:
                computations[name] = Computation(name, instructions, root)
                name = ""
        elif name and (found := _INSTRUCTION.match(line)):
            instruction = _instruction(found.group(2), found.group(3))
            instructions[instruction.name] = instruction
            root = instruction.name if found.group(1) else root
    if not entry:
        raise ValueError(
            f"compiled program starting {text[:40]!r}: expected an HLO module with an ENTRY"
        )
    header = text[: text.find("\n")]
    counts = re.findall(r"\b(?:num_partitions|replica_count)=(\d+)", header)
    return Module(computations, entry, prod(map(int, counts)))


def _instruction(name: str, text: str) -> Instruction:
    """Takes `SHAPE opcode(operands), attributes` apart."""
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    opening = text.index("(", end)
    closing = _closing(text, opening)
    inside = text[opening + 1 : closing]
    opcode = text[end:opening].strip()
    holds_names = opcode not in ("constant", "parameter")
    return Instruction(
        name=name,
        opcode=opcode,
        shapes=_shapes(text[:end]),
        operands=tuple(_OPERAND.findall(inside)) if holds_names else (),
        literal="" if holds_names else inside,
        attributes=text[closing + 1 :],
    )


def _shapes(text: str) -> tuple[Shape, ...]:
    """Arrays of a printed type, tuples flattened."""
    shapes = []
    for element, sizes, layout in _SHAPE.findall(text):
        space = _MEMORY_SPACE.search(layout)
        dimensions = tuple(int(size.lstrip("<=")) for size in sizes.split(",") if size)
        shapes.append(Shape(element, dimensions, int(space.group(1)) if space else 0))
    return tuple(shapes)


def _closing(text: str, opening: int) -> int:
    """Position of the parenthesis that closes the one at `opening`."""
    depth = 0
    for found in _PARENTHESIS.finditer(text, opening):
        depth += 1 if found.group() == "(" else -1
        if depth == 0:
            return found.start()
    raise ValueError(f"compiled program: no closing parenthesis in {text[:80]!r}")
