"""The sizes of residual networks (He et al. 2015), and the convolutions that each is made of."""

from dataclasses import dataclass

BOTTLENECK = 4


@dataclass(frozen=True)
class Convolution:
    """Side of a square kernel, stride, channels in and out."""

    kernel: int
    stride: int
    before: int
    after: int


@dataclass(frozen=True)
class ResNetSize:
    """Channels of the stem; channels that each stage puts out; its blocks; and their kind."""

    stem: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    bottleneck: bool

    def series(self, stage: int, block: int) -> tuple[Convolution, ...]:
        """The convolutions of a block in series."""
        width, before, stride = self._ends(stage, block)
        if not self.bottleneck:
            return Convolution(3, stride, before, width), Convolution(3, 1, width, width)
        inner = width // BOTTLENECK
        return (
            Convolution(1, 1, before, inner),
            Convolution(3, stride, inner, inner),
            Convolution(1, 1, inner, width),
        )

    def shortcut(self, stage: int, block: int) -> Convolution | None:
        """The convolution around a block that changes the shape of its map; None where none does."""
        width, before, stride = self._ends(stage, block)
        changes = before != width or stride != 1
        return Convolution(1, stride, before, width) if changes else None

    def _ends(self, stage: int, block: int) -> tuple[int, int, int]:
        """Channels out and in, and the stride, of a block."""
        width = self.widths[stage]
        if block:
            return width, width, 1
        return width, self.widths[stage - 1] if stage else self.stem, 2 if stage else 1


def _basic(*depths: int) -> ResNetSize:
    return ResNetSize(64, (64, 128, 256, 512), depths, bottleneck=False)


def _bottleneck(*depths: int) -> ResNetSize:
    return ResNetSize(64, (256, 512, 1024, 2048), depths, bottleneck=True)


# He et al. 2015, table 1. mu and mu-bottleneck are ours, for tests.
RESNET_SIZES = {
    "mu": ResNetSize(8, (8, 16), (2, 1), bottleneck=False),
    "mu-bottleneck": ResNetSize(8, (16, 32), (1, 2), bottleneck=True),
    "18": _basic(2, 2, 2, 2),
    "34": _basic(3, 4, 6, 3),
    "50": _bottleneck(3, 4, 6, 3),
    "101": _bottleneck(3, 4, 23, 3),
    "152": _bottleneck(3, 8, 36, 3),
}
