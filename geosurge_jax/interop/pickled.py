"""Pickles read as data: nothing that a file names is imported or called.

A pickle is a program for a stack machine (the comments of Python's `pickletools` are its reference). This one
knows the instructions that containers of tensors are written with, and of the globals a file may name only
those in a table, whose values are ours. Any other instruction or global ends the reading, so a pickle has no
way to run anything. Instructions work on references and are counted, so its memory is bounded too.
"""

import io
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted

BYTES_LIMIT = 8 * 2**20  # a tensor takes about 150 bytes of a pickle,
OPCODES_LIMIT = 500_000  # and about 35 instructions

_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
Container = TypeVar("Container")


@dataclass(frozen=True)
class Function:
    """What stands in for a function that pickles name.

    Attributes:
        apply: from the tuple of its arguments to its value; raises ValueError for arguments it does not take.
    """

    apply: Callable[[tuple], object]


def _ordered(arguments: tuple) -> OrderedDict:
    # Python 2 gives the items as one list of lists, Python 3 sets them afterwards.
    match arguments:
        case ():
            return OrderedDict()
        case (list(pairs),):
            ordered = OrderedDict()
            for pair in pairs:
                match pair:
                    case [str(key), value]:
                        ordered[key] = value
                    case _:
                        raise ValueError("OrderedDict of something else than pairs")
            return ordered
    raise ValueError("OrderedDict of something else than a list")


ORDERED_DICT = Function(_ordered)


def read_pickle(
    content: memoryview,
    source: str,
    known: Mapping[tuple[str, str], object],
    persistent: Callable[[object], object],
) -> tuple[object, int]:
    """Reads the pickle that some bytes begin with.

    Args:
        content: a pickle, and whatever follows it.
        source: where it stands, for messages.
        known: what each (module, name) stands for: a `Function`, or a value.
        persistent: from an identity to the object that is kept outside of the pickle; raises ValueError for
            an identity that it does not know.

    Returns:
        The object, of dicts, lists, tuples, strings, numbers, bools, None and what `known` and `persistent`
        gave; and how many bytes the pickle has.

    Raises:
        WeightsError: not a whole pickle, too large a one, or one that asks for anything else; the message
            says which instruction at which byte.
    """
    stream = io.BytesIO(content[:BYTES_LIMIT])
    machine = _Machine(known, persistent)
    for _ in range(OPCODES_LIMIT):
        position = stream.tell()
        opcode = _OPCODES.get(stream.read(1).decode("latin-1"))
        if opcode is None:
            found = bytes(content[position : position + 1])
            reason = (
                f"byte {found!r}, an instruction was expected" if found else "ends without STOP"
            )
            raise WeightsError(f"{source}: not a whole pickle: at byte {position}: {reason}")
        if opcode.name not in _STEPS:
            raise WeightsError(
                f"{source}: pickle instruction {opcode.name} at byte {position}; only those that "
                "build containers of tensors are read"
            )
        try:
            argument = _argument(opcode, stream)
            _STEPS[opcode.name](machine, argument)
            if opcode.name == "STOP":
                return machine.pop(), stream.tell()
        except ValueError as error:
            raise WeightsError(
                f"{source}: pickle instruction {opcode.name} at byte {position}: {error}"
            ) from error
    raise WeightsError(f"{source}: pickle of more than {OPCODES_LIMIT} instructions")


def _argument(opcode: pickletools.OpcodeInfo, stream: io.BytesIO) -> object:
    if opcode.name == "GLOBAL":
        # The reader of pickletools takes backslashes for escapes, and warns of those that are none.
        module, name = stream.readline(), stream.readline()
        if not name.endswith(b"\n"):
            raise ValueError("a name without end")
        return module[:-1].decode(), name[:-1].decode()
    return opcode.arg.reader(stream) if opcode.arg else None


class _Machine:
    """The stack, the stacks below marks, and the memo."""

    def __init__(
        self,
        known: Mapping[tuple[str, str], object],
        persistent: Callable[[object], object],
    ):
        self.known = known
        self.persistent = persistent
        self.stack: list = []
        self.below: list[list] = []
        self.memo: dict[int, object] = {}

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        if not self.stack:
            raise ValueError("takes from an empty stack")
        return self.stack.pop()

    def top(self, kind: type[Container]) -> Container:
        top = self.stack[-1] if self.stack else None
        if not isinstance(top, kind):
            raise ValueError(f"changes {type(top).__name__}, {kind.__name__} was expected")
        return top

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list:
        if not self.below:
            raise ValueError("takes up to a mark that is not there")
        items, self.stack = self.stack, self.below.pop()
        return items

    def tuple_of(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(items)))

    def extend(self, items: list) -> None:
        self.top(list).extend(items)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def set_items(self, items: list) -> None:
        target = self.top(dict)
        if len(items) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nested tuples of a few bytes can take forever to hash.
            if not isinstance(key, str | int):
                raise ValueError(f"{type(key).__name__} as a key, str or int was expected")
            target[key] = value

    def remember(self, index: int) -> None:
        if not self.stack:
            raise ValueError("remembers the top of an empty stack")
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise ValueError(f"recalls {index}, which was not remembered")
        self.push(self.memo[index])

    def find(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a global without a name")
        if (module, name) not in self.known:
            raise ValueError(
                f"names {quoted(f'{module}.{name}')}, which is not executed; only tensors and "
                "their containers are read"
            )
        self.push(self.known[module, name])

    def find_on_stack(self) -> None:
        name, module = self.pop(), self.pop()
        self.find(module, name)

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Function) or not isinstance(arguments, tuple):
            raise ValueError(
                f"calls {type(function).__name__} with {type(arguments).__name__}, which is not executed"
            )
        self.push(function.apply(arguments))

    def build(self) -> None:
        # State dicts carry versions of their modules in `_metadata`, which no array depends on.
        self.pop()
        self.top(OrderedDict)


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, version: None,
    "FRAME": lambda machine, length: None,
    "STOP": lambda machine, _: None,
    "MARK": lambda machine, _: machine.mark(),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "BININT": lambda machine, number: machine.push(number),
    "BININT1": lambda machine, number: machine.push(number),
    "BININT2": lambda machine, number: machine.push(number),
    "LONG1": lambda machine, number: machine.push(number),
    "BINFLOAT": lambda machine, number: machine.push(number),
    "BINUNICODE": lambda machine, text: machine.push(text),
    "SHORT_BINUNICODE": lambda machine, text: machine.push(text),
    "BINSTRING": lambda machine, text: machine.push(text),
    "SHORT_BINSTRING": lambda machine, text: machine.push(text),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.set_item(),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "BINPUT": lambda machine, index: machine.remember(index),
    "LONG_BINPUT": lambda machine, index: machine.remember(index),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "BINGET": lambda machine, index: machine.recall(index),
    "LONG_BINGET": lambda machine, index: machine.recall(index),
    "GLOBAL": lambda machine, names: machine.find(*names),
    "STACK_GLOBAL": lambda machine, _: machine.find_on_stack(),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.push(machine.persistent(machine.pop())),
}
