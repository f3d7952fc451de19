"""How tensors of other people's files become our parameters, and back.

A map is a list of entries, one for each of our parameters. Transforms are pairs of functions that only
rearrange, so that they make views of memory-mapped files where they can, and go both ways.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rearrange = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Transform:
    """Rearranges a tensor of theirs into a parameter of ours, and back.

    Attributes:
        to_ours: from the file's axes to ours.
        to_theirs: its inverse.
    """

    to_ours: Rearrange
    to_theirs: Rearrange


@dataclass(frozen=True)
class PositionGrid:
    """How learned positions are brought to another resolution.

    Attributes:
        before: rows before the grid, which stay as they are.
        antialias: whether the interpolation is antialiased.
    """

    before: int
    antialias: bool


@dataclass(frozen=True)
class Entry:
    """Where one parameter comes from.

    Attributes:
        path: our parameter, relative to its part; blocks of a stack are counted `blocks/00/...`, whether or
            not they are scanned or frozen in the model.
        name: the tensor in the file, without the prefix of its part.
        transform: how it is rearranged.
        rows: (first, end) of the tensor's first axis where several parameters share it.
        prefixed: whether the tensor's name in the file begins with the prefix of its part.
        grid: for learned positions of a square grid, which may be of another size than ours; None for all
            other parameters.
    """

    path: str
    name: str
    transform: Transform = Transform(lambda x: x, lambda x: x)
    rows: tuple[int, int] | None = None
    prefixed: bool = True
    grid: PositionGrid | None = None


# torch keeps linear layers as [out, in].
LINEAR = Transform(lambda x: x.T, lambda x: x.T)

# torch keeps convolutions as [out, in, height, width], also depthwise ones, whose `in` is 1.
CONVOLUTION = Transform(lambda x: x.transpose(2, 3, 1, 0), lambda x: x.transpose(3, 2, 0, 1))


def heads_out(heads: int) -> Transform:
    """Linear layer onto heads: `[H * K, D]` <-> `[D, H, K]`."""
    return Transform(
        lambda x: x.T.reshape(x.shape[1], heads, -1),
        lambda x: x.reshape(x.shape[0], -1).T,
    )


def heads_bias(heads: int) -> Transform:
    """Bias of a linear layer onto heads: `[H * K]` <-> `[H, K]`."""
    return Transform(lambda x: x.reshape(heads, -1), lambda x: x.reshape(-1))


def heads_in(heads: int) -> Transform:
    """Linear layer from heads: `[D, H * K]` <-> `[H, K, D]`."""
    return Transform(
        lambda x: x.T.reshape(heads, -1, x.shape[0]),
        lambda x: x.reshape(-1, x.shape[-1]).T,
    )


def patch_kernel(patch: int) -> Transform:
    """Convolution over whole patches: `[D, 3, p, p]` <-> `[p * p * 3, D]`, rows first, channels last."""
    return Transform(
        lambda x: x.transpose(2, 3, 1, 0).reshape(-1, x.shape[0]),
        lambda x: x.reshape(patch, patch, -1, x.shape[-1]).transpose(3, 2, 0, 1),
    )


def leading_ones(count: int) -> Transform:
    """A parameter that their file keeps with `count` leading axes of size 1."""
    return Transform(lambda x: x.reshape(x.shape[count:]), lambda x: x[(None,) * count])
