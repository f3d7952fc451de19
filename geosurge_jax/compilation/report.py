"""One program compiled for some chips: does it fit, what does it cost, how fast can it be."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod

import jax

from geosurge_jax.compilation.chips import Chip
from geosurge_jax.compilation.cost import Cost, Roofline, cost_of, roofline_of
from geosurge_jax.compilation.program import parse_program

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Setting:
    """What was compiled for what.

    Attributes:
        name: of the program, as "training step".
        topology: of the chips, as "v5e:16x16" or "live".
        chip: one of them.
        mesh: sizes of the mesh axes.
        photos: in one run of the program, over all chips.
        expected_flops: of matrix products in one run over all chips, by a formula; None where there is none.
    """

    name: str
    topology: str
    chip: Chip
    mesh: Mapping[str, int]
    photos: int
    expected_flops: float | None = None

    @property
    def chips(self) -> int:
        """How many there are."""
        return prod(self.mesh.values())


@dataclass(frozen=True)
class Memory:
    """Bytes on each chip; None where the compiler did not get far enough to say.

    Attributes:
        arguments: of the program: parameters, optimiser state, batch.
        outputs: of the program.
        aliased: outputs that take the place of donated arguments.
        temporaries: most that live at once in between.
        code: the program itself.
        total: arguments + outputs - aliased + temporaries + code; where the program does not fit, what the
            compiler says that it asked for.
        available: what the chip has, None where not known.
        headroom: available - total.
    """

    arguments: int | None
    outputs: int | None
    aliased: int | None
    temporaries: int | None
    code: int | None
    total: int | None
    available: int | None
    headroom: int | None


@dataclass(frozen=True)
class CompileReport:
    """What is known of a program from compiling it.

    Attributes:
        setting: what was compiled for what.
        fits: whether each chip has the memory; None where the chip's memory is not known.
        memory: bytes on each chip.
        cost: what a chip does in a run; None where the program did not compile.
        roofline: None where the program did not compile or the chip's peaks are not known.
        lower_seconds: tracing and lowering.
        compile_seconds: compiling.
        compiler_message: the compiler's words where the program does not fit.
    """

    setting: Setting
    fits: bool | None
    memory: Memory
    cost: Cost | None
    roofline: Roofline | None
    lower_seconds: float
    compile_seconds: float
    compiler_message: str | None

    def to_json(self) -> str:
        """The report as JSON: the fields as they are named here, bytes, FLOPs and seconds as numbers."""
        fields = asdict(self) | {"chips": self.setting.chips}
        return json.dumps(fields, indent=2)


def compile_and_report(
    lowered: jax.stages.Lowered, setting: Setting, lower_seconds: float
) -> CompileReport:
    """Compiles a program and says what came of it.

    Args:
        lowered: what `jax.jit(f, ...).lower(...)` returned.
        setting: what is compiled for what.
        lower_seconds: what lowering took.

    Returns:
        The report; for a program that does not fit into memory, one that says so in the compiler's words.

    Raises:
        jax.errors.JaxRuntimeError: the compiler failed for another reason than memory.
    """
    start = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return _too_large(str(error), setting, lower_seconds, time.perf_counter() - start)
    return report_of(compiled, setting, lower_seconds, time.perf_counter() - start)


def report_of(
    compiled: jax.stages.Compiled, setting: Setting, lower_seconds: float, compile_seconds: float
) -> CompileReport:
    """Says what came of a program that did compile; arguments as of `compile_and_report`."""
    memory = memory_of(compiled, setting.chip)
    cost = cost_of(parse_program(compiled.as_text() or ""))
    return CompileReport(
        setting=setting,
        fits=None if memory.headroom is None else memory.headroom >= 0,
        memory=memory,
        cost=cost,
        roofline=roofline_of(cost, setting.chip, setting.photos),
        lower_seconds=lower_seconds,
        compile_seconds=compile_seconds,
        compiler_message=None,
    )


def memory_of(compiled: jax.stages.Compiled, chip: Chip) -> Memory:
    """The compiler's account of memory, and what the chip has left of it.

    Args:
        compiled: the program.
        chip: the chip.
    """
    found = compiled.memory_analysis()
    if found is None:
        return Memory(None, None, None, None, None, None, chip.memory_bytes, None)
    total = (
        found.argument_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes
        + found.temp_size_in_bytes
        + found.generated_code_size_in_bytes
    )
    return Memory(
        arguments=found.argument_size_in_bytes,
        outputs=found.output_size_in_bytes,
        aliased=found.alias_size_in_bytes,
        temporaries=found.temp_size_in_bytes,
        code=found.generated_code_size_in_bytes,
        total=total,
        available=chip.memory_bytes,
        headroom=None if chip.memory_bytes is None else chip.memory_bytes - total,
    )


def _too_large(
    message: str, setting: Setting, lower_seconds: float, compile_seconds: float
) -> CompileReport:
    """The report of a program that the compiler found too large."""
    asked, allowed = _asked_and_allowed(message)
    available = setting.chip.memory_bytes if allowed is None else allowed
    headroom = None if asked is None or available is None else available - asked
    return CompileReport(
        setting=setting,
        fits=False,
        memory=Memory(None, None, None, None, None, asked, available, headroom),
        cost=None,
        roofline=None,
        lower_seconds=lower_seconds,
        compile_seconds=compile_seconds,
        compiler_message=message.split("\n\n")[0].strip(),
    )


def _asked_and_allowed(message: str) -> tuple[int | None, int | None]:
    """Bytes asked for and allowed, out of either of the TPU compiler's messages."""
    size = r"([\d.]+)([KMGT]?)"
    for pattern in (
        rf"\({size}\) exceeds available HBM \({size}\)",
        rf"Used {size} of {size} hbm",
    ):
        if found := re.search(pattern, message):
            asked, asked_unit, allowed, allowed_unit = found.groups()
            return (
                round(float(asked) * _UNITS[asked_unit]),
                round(float(allowed) * _UNITS[allowed_unit]),
            )
    return None, None
