"""Bytes that a compiled program moves between a chip's large memory and the chip: an estimate."""

from geosurge_jax.compilation.hlo import Computation, Instruction, Module, Shape
from geosurge_jax.compilation.program import Program

# These give their operands other names, wait for what was counted when it started, or hold others that count.
_FREE = frozenset(
    "after-all add-dependency bitcast call conditional constant domain get-tuple-element opt-barrier "
    "parameter partition-id replica-id tuple while".split()
)
_FREE_TARGETS = ("AllocateBuffer", "ConcatBitcast", "AsyncCollectiveStart")
_SLICES = ("dynamic-slice", "slice", "gather")
_COLLECTIVES = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")


def memory_traffic(program: Program) -> int:
    """Estimates the bytes that one chip reads and writes in one run of the program.

    Every instruction outside fusions, and every fusion as a whole, reads its operands and writes its result,
    as often as it runs. Of an operand that is only sliced, the slices count; of a result that an operand is
    updated in place for, the update. On-chip memory counts nothing where the compiler says that it uses it
    (TPU: S(1)); caches and the padding of tiles are left out. So the sum is what a schedule without caches
    moves: more than a GPU does whose cache holds small arrays.

    Args:
        program: the compiled program.

    Returns:
        Bytes.
    """
    total = 0
    for name, runs in program.runs.items():
        computation = program.module.computations[name]
        for instruction in computation.instructions.values():
            total += runs * _traffic(program.module, computation, instruction)
    return total


def _traffic(module: Module, computation: Computation, instruction: Instruction) -> int:
    """Bytes that one run of an instruction outside fusions moves."""
    opcode = instruction.opcode
    is_end = opcode.endswith(("-done", "-update"))
    if opcode in _FREE or is_end or opcode == "async-start" or _is_free_call(instruction):
        return 0
    operands = computation.operands(instruction)
    if opcode == "fusion":
        called = module.computations[instruction.called("calls") or ""]
        read = sum(
            min(_size(operand.shapes), _bytes_read(module, called, called.parameters[i]))
            for i, operand in enumerate(operands)
            if _size(operand.shapes)
        )
        return read + _bytes_written(module, called, instruction.shapes)
    results = _size(_results(instruction))
    sliced = opcode.removesuffix("-start")
    if sliced in _SLICES:
        source = min(_size(operands[0].shapes), sum(x.bytes for x in _results(instruction)))
        return source + sum(_size(operand.shapes) for operand in operands[1:]) + results
    if opcode in ("dynamic-update-slice", "scatter"):
        update = operands[1 if opcode == "dynamic-update-slice" else -1]
        rest = sum(_size(operand.shapes) for operand in operands[1:])
        return rest + (sum(x.bytes for x in update.shapes) if results else 0)
    return sum(_size(operand.shapes) for operand in operands) + results


def _size(shapes: tuple[Shape, ...]) -> int:
    """Bytes of those that lie in the large memory."""
    return sum(shape.bytes for shape in shapes if shape.memory_space == 0)


def _results(instruction: Instruction) -> tuple[Shape, ...]:
    """Arrays that an instruction makes; one that starts something also lists operands and flags."""
    if not instruction.opcode.endswith("-start") or instruction.opcode == "all-reduce-start":
        return instruction.shapes
    if instruction.opcode == "copy-start":
        return instruction.shapes[:1]
    return tuple(x for x in instruction.shapes[len(instruction.operands) :] if x.dimensions)


def _is_free_call(instruction: Instruction) -> bool:
    """Whether this is one of the TPU compiler's calls that moves nothing itself."""
    return any(f'custom_call_target="{name}"' in instruction.attributes for name in _FREE_TARGETS)


def _bytes_read(module: Module, computation: Computation, name: str) -> int:
    """Bytes of a fusion's parameter, or of a renaming of it, that the fusion reads."""
    whole = sum(shape.bytes for shape in computation.instructions[name].shapes)
    read = 0
    for user in computation.users[name]:
        is_first = user.operands[0] == name and name not in user.operands[1:]
        if user.opcode == "bitcast":
            read += _bytes_read(module, computation, user.name)
        elif user.opcode in _SLICES and is_first:
            read += sum(shape.bytes for shape in user.shapes)
        elif user.opcode in ("dynamic-update-slice", "scatter") and is_first:
            read += 0
        elif user.opcode == "tuple" or _is_wait(user) or _carries_on(computation, user):
            read += 0
        elif user.opcode == "fusion":
            called = module.computations[user.called("calls") or ""]
            inner = [called.parameters[i] for i, x in enumerate(user.operands) if x == name]
            read += sum(_bytes_read(module, called, parameter) for parameter in inner)
        else:
            return whole
    return min(read, whole)


def _bytes_written(module: Module, computation: Computation, shapes: tuple[Shape, ...]) -> int:
    """Bytes that a fusion writes, by the arrays that it gives where it is called."""
    root = computation.instructions[computation.root]
    if _is_free_call(root):
        return 0
    made = computation.operands(root) if root.opcode == "tuple" else (root,)
    if len(made) != len(shapes):
        return _size(shapes)
    return sum(
        min(shape.bytes, _bytes_made(module, computation, instruction))
        for shape, instruction in zip(shapes, made, strict=True)
        if shape.memory_space == 0
    )


def _bytes_made(module: Module, computation: Computation, instruction: Instruction) -> int:
    """Bytes of a fusion's result that are new: not an operand passed on or updated in place."""
    operands = computation.operands(instruction)
    if instruction.opcode == "bitcast":
        return _bytes_made(module, computation, operands[0])
    if instruction.opcode == "parameter" or _carries_on(computation, instruction):
        return 0
    if instruction.opcode in ("dynamic-update-slice", "scatter"):
        update = operands[1 if instruction.opcode == "dynamic-update-slice" else -1]
        return sum(shape.bytes for shape in update.shapes)
    return sum(shape.bytes for shape in instruction.shapes)


def _is_wait(instruction: Instruction) -> bool:
    """Whether this waits for a collective that another fusion started."""
    return 'custom_call_target="AsyncCollectiveDone"' in instruction.attributes


def _carries_on(computation: Computation, instruction: Instruction) -> bool:
    """Whether this repeats, inside a fusion, a collective that another fusion started."""
    if instruction.opcode not in _COLLECTIVES:
        return False
    users = computation.users[instruction.name]
    return any(user.opcode == "tuple" or _is_wait(user) for user in users)
