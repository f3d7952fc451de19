"""FLOPs of the matrix products of a compiled program, loops counted as often as they run."""

import json
import re
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np

from geosurge_jax.compilation.hlo import Computation, Instruction, Shape
from geosurge_jax.compilation.program import Program, executed

# Kernels whose insides XLA does not print, so that their products are not counted: attention of cuDNN,
# Pallas kernels of TPU and GPU, products handed to oneDNN.
_OPAQUE = re.compile(r"__cudnn\$fmha|tpu_custom_call|triton_kernel_call|__gpu\$xla|__onednn\$")


@dataclass(frozen=True)
class MatmulFlops:
    """Multiplications and additions of matrix products and convolutions, two for each pair.

    Attributes:
        narrow: of products whose wider operand has at most 16 bits (bfloat16, float16, 8-bit types).
        wide: of products with an operand of more (float32 at whatever precision the compiler takes).
        uncounted: custom kernels that may hold products and are not in the sums: targets, sorted.
    """

    narrow: int
    wide: int
    uncounted: tuple[str, ...]

    @property
    def total(self) -> int:
        """All of them."""
        return self.narrow + self.wide


def matmul_flops(program: Program) -> MatmulFlops:
    """Counts what one chip does in one run of the program.

    `compiled.cost_analysis()["flops"]` counts the body of a loop once and adds elementwise work; here a body
    counts as often as it runs, and only products count, which is what a peak of the vendor is a peak of.

    Args:
        program: the compiled program.

    Returns:
        The FLOPs by width of operands.
    """
    narrow, wide, uncounted = 0, 0, set()
    for step in executed(program):
        instruction, computation = step.instruction, step.computation
        flops = step.runs * instruction_flops(computation, instruction)
        if flops and max(x.shapes[0].bits for x in computation.operands(instruction)[:2]) > 16:
            wide += flops
        else:
            narrow += flops
        target = _target(instruction)
        if _OPAQUE.match(target):
            uncounted.add(target)
    return MatmulFlops(narrow, wide, tuple(sorted(uncounted)))


def instruction_flops(computation: Computation, instruction: Instruction) -> int:
    """FLOPs of one run of an instruction; 0 for all that is no matrix product.

    Args:
        computation: the one that holds it.
        instruction: a `dot`, a `convolution`, the same handed to cuBLAS or cuDNN, or anything else.
    """
    target = _target(instruction)
    operands = computation.operands(instruction)
    if instruction.opcode == "dot":
        contracted = instruction.attribute(r"lhs_contracting_dims=\{([\d,]*)\}") or ""
        return _dot(instruction.shapes[0], operands[0].shapes[0], _integers(contracted))
    if target.startswith("__cublas$"):
        found = instruction.attribute(r'"lhs_contracting_dimensions":(\[[^\]]*\])') or "[]"
        contracted = [int(dimension) for dimension in json.loads(found)]
        return _dot(instruction.shapes[0], operands[0].shapes[0], contracted)
    if instruction.opcode == "convolution" or target.startswith("__cudnn$conv"):
        image, kernel = (operand.shapes[0] for operand in operands[:2])
        result = instruction.shapes[0]
        # A backward pass of cuDNN is labelled as the forward one, whose input or filter it gives.
        if target == "__cudnn$convBackwardInput":
            image, result = result, image
        elif target == "__cudnn$convBackwardFilter":
            kernel, result = result, kernel
        return _convolution(instruction, image, kernel, result)
    return 0


def _target(instruction: Instruction) -> str:
    """Name of the kernel that a custom call calls; empty for other instructions."""
    return instruction.attribute(r'custom_call_target="([^"]*)"') or ""


def _integers(text: str) -> list[int]:
    """Numbers of a comma-separated list."""
    return [int(number) for number in text.split(",") if number]


def _dot(result: Shape, left: Shape, contracted: list[int]) -> int:
    """FLOPs of a (batched) matrix product."""
    return 2 * prod(result.dimensions) * prod(left.dimensions[i] for i in contracted)


def _convolution(instruction: Instruction, image: Shape, kernel: Shape, result: Shape) -> int:
    """FLOPs of a convolution: two for each pair of a kernel position and an image position that exists.

    The TPU compiler writes every product as a convolution. A batch dimension becomes a spatial one, with
    dilations and strides such that each output meets one kernel position, the others falling on padding
    and holes: positions are therefore counted one by one, as XLA's HloCostAnalysis does.
    """
    labels = instruction.attribute(r"dim_labels=([^,\s]+)") or ""
    image_labels, kernel_labels, result_labels = re.split("_|->", labels)
    spatial = [label for label in kernel_labels if label.isdigit()]
    window = _window(instruction, len(spatial))
    pairs = 1
    for label in spatial:
        pairs *= _valid_positions(
            input_size=image.dimensions[image_labels.index(label)],
            output_size=result.dimensions[result_labels.index(label)],
            **window[int(label)],
        )
    groups = int(instruction.attribute(r"batch_group_count=(\d+)") or 1)
    batch = image.dimensions[image_labels.index("b")] // groups
    # The kernel's input features are those of one feature group already.
    features = kernel.dimensions[kernel_labels.index("i")]
    return 2 * batch * features * kernel.dimensions[kernel_labels.index("o")] * pairs


def _window(instruction: Instruction, dimensions: int) -> list[dict[str, int]]:
    """The window of each spatial dimension, what is not printed filled in."""
    text = instruction.attribute(r"window=\{([^}]*)\}") or ""
    fields = dict(field.split("=", 1) for field in text.split())

    def along(key: str, default: str) -> list[str]:
        return fields[key].split("x") if key in fields else [default] * dimensions

    sizes, strides, pads = along("size", "1"), along("stride", "1"), along("pad", "0_0")
    holes, dilations = along("lhs_dilate", "1"), along("rhs_dilate", "1")
    return [
        {
            "kernel_size": int(sizes[i]),
            "stride": int(strides[i]),
            "padding": int(pads[i].split("_")[0]),
            "image_dilation": int(holes[i]),
            "kernel_dilation": int(dilations[i]),
        }
        for i in range(dimensions)
    ]


@cache
def _valid_positions(
    *,
    input_size: int,
    output_size: int,
    kernel_size: int,
    stride: int,
    padding: int,
    image_dilation: int,
    kernel_dilation: int,
) -> int:
    """Pairs of an output and a kernel position that meet an element, not padding and not a hole."""
    output = np.arange(output_size)[:, None] * stride
    position = output + np.arange(kernel_size)[None] * kernel_dilation - padding
    exists = (position >= 0) & (position < input_size * image_dilation)
    return int(np.count_nonzero(exists & (position % image_dilation == 0)))
