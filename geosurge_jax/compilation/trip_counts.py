"""How often a while loop of a compiled program runs: as the compiler noted it, or by running its integers."""

from collections.abc import Callable, Sequence

from geosurge_jax.compilation.hlo import Computation, Instruction, Module

# A loop longer than this counts as one of unknown length.
LONGEST = 100_000

_PASSED_ON = ("copy", "copy-start", "copy-done", "bitcast", "convert", "reshape")
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "minimum": min,
    "maximum": max,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
}
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "LT": lambda a, b: a < b,
    "LE": lambda a, b: a <= b,
    "GT": lambda a, b: a > b,
    "GE": lambda a, b: a >= b,
    "EQ": lambda a, b: a == b,
    "NE": lambda a, b: a != b,
}

# What is known of a computation's arguments: an integer, the elements of a tuple, or nothing.
Value = int | Sequence["Value"] | None


def trip_count(module: Module, computation: Computation, loop: Instruction) -> int | None:
    """Times that the body of a while loop runs.

    The CPU and GPU compilers write `known_trip_count` beside the loop; the TPU compiler does not, so there
    the counter is followed from its start through condition and body.

    Args:
        module: the program.
        computation: the one that holds the loop.
        loop: the `while` instruction.

    Returns:
        The count, or None where it depends on data.
    """
    noted = loop.attribute(r'"known_trip_count":\{"n":"(\d+)"')
    if noted is not None:
        return int(noted)
    condition, body = loop.called("condition"), loop.called("body")
    if condition is None or body is None:
        return None
    state = _Evaluation(module, computation, ()).value(loop.operands[0])
    for trips in range(LONGEST):
        goes_on = _result(module, condition, (state,))
        if not isinstance(goes_on, int):
            return None
        if not goes_on:
            return trips
        state = _result(module, body, (state,))
    return None


def _result(module: Module, name: str, arguments: Sequence[Value]) -> Value:
    """What a computation gives for these arguments, as far as it is integers."""
    computation = module.computations[name]
    return _Evaluation(module, computation, arguments).value(computation.root)


class _Evaluation:
    """Values of one computation's instructions, found where asked for."""

    def __init__(self, module: Module, computation: Computation, arguments: Sequence[Value]):
        self.module = module
        self.computation = computation
        self.arguments = arguments
        self.found: dict[str, Value] = {}

    def value(self, name: str) -> Value:
        """The integer, or tuple of values, that an instruction gives; None where it is not known."""
        if name not in self.found:
            self.found[name] = self._value(name)
        return self.found[name]

    def _value(self, name: str) -> Value:
        """Finds what `value` keeps."""
        instruction = self.computation.instructions[name]
        opcode, operands = instruction.opcode, instruction.operands
        if opcode == "constant":
            return _literal(instruction.literal)
        if opcode == "parameter":
            number = int(instruction.literal)
            return self.arguments[number] if number < len(self.arguments) else None
        if opcode in _PASSED_ON:
            return self.value(operands[0])
        if opcode == "tuple":
            return tuple(self.value(operand) for operand in operands)
        if opcode == "get-tuple-element":
            elements = self.value(operands[0])
            index = int(instruction.attribute(r"\bindex=(\d+)") or 0)
            return None if elements is None or isinstance(elements, int) else elements[index]
        if opcode == "fusion" and all(not shape.dimensions for shape in instruction.shapes):
            called = instruction.called("calls")
            return (
                _result(self.module, called, [self.value(x) for x in operands]) if called else None
            )
        return self._calculated(instruction)

    def _calculated(self, instruction: Instruction) -> Value:
        """The value of an arithmetic instruction or comparison of two known integers."""
        direction = instruction.attribute(r"\bdirection=([A-Z]+)")
        function = _ARITHMETIC.get(instruction.opcode) or _COMPARISONS.get(direction or "")
        if function is None or any(shape.dimensions for shape in instruction.shapes):
            return None
        values = [self.value(operand) for operand in instruction.operands]
        left, right = values if len(values) == 2 else (None, None)
        if not isinstance(left, int) or not isinstance(right, int):
            return None
        return int(function(left, right))


def _literal(text: str) -> int | None:
    """A printed scalar constant where it is a whole number or a truth value."""
    if text in ("true", "false"):
        return int(text == "true")
    return int(text) if text.lstrip("-").isdigit() else None
