"""The sizes of EfficientNet: one baseline network, scaled in width and depth (Tan and Le 2019)."""

import math
from dataclasses import dataclass

STEM, TOP = 32, 1280
DIVISOR = 8
SQUEEZE_RATIO = 0.25


@dataclass(frozen=True)
class StageShape:
    """A stage of the baseline, before scaling.

    Attributes:
        kernel: side of the depthwise kernels.
        stride: of the first block.
        expansion: inner channels of a block over its channels in.
        channels: channels out.
        repeats: number of blocks.
    """

    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int


# Tan and Le 2019, table 1.
BASELINE = (
    StageShape(3, 1, 1, 16, 1),
    StageShape(3, 2, 6, 24, 2),
    StageShape(5, 2, 6, 40, 2),
    StageShape(3, 2, 6, 80, 3),
    StageShape(5, 1, 6, 112, 3),
    StageShape(5, 2, 6, 192, 4),
    StageShape(3, 1, 6, 320, 1),
)


@dataclass(frozen=True)
class BlockShape:
    """One block after scaling.

    Attributes:
        kernel: side of the depthwise kernel.
        stride: of the depthwise convolution.
        expansion: inner channels over channels in.
        before: channels in.
        after: channels out.
        residual: whether the way around it is open: every block of a stage but its first.
    """

    kernel: int
    stride: int
    expansion: int
    before: int
    after: int
    residual: bool

    @property
    def expands(self) -> bool:
        """Whether a convolution comes before the depthwise one."""
        return self.expansion != 1

    @property
    def inner(self) -> int:
        """Channels of the depthwise convolution."""
        return self.before * self.expansion

    @property
    def squeezed(self) -> int:
        """Channels of the squeeze, a share of the channels in and not of the inner ones."""
        return max(1, int(self.before * SQUEEZE_RATIO))


@dataclass(frozen=True)
class EfficientNetSize:
    """Coefficients of width and depth, and the network that they scale."""

    width: float
    depth: float
    stages: tuple[StageShape, ...] = BASELINE

    def channels(self, baseline: int) -> int:
        """Scaled channels: the nearest multiple of 8 that is not below by more than a tenth."""
        scaled = baseline * self.width
        rounded = max(DIVISOR, int(scaled + DIVISOR / 2) // DIVISOR * DIVISOR)
        return rounded + DIVISOR if rounded < 0.9 * scaled else rounded

    @property
    def stem(self) -> int:
        """Channels of the first convolution."""
        return self.channels(STEM)

    @property
    def top(self) -> int:
        """Channels of the last convolution."""
        return self.channels(TOP)

    @property
    def blocks(self) -> tuple[tuple[BlockShape, ...], ...]:
        """The blocks of each stage."""
        stages, before = [], self.stem
        for stage in self.stages:
            after, blocks = self.channels(stage.channels), []
            for index in range(math.ceil(self.depth * stage.repeats)):
                stride = 1 if index else stage.stride
                blocks.append(
                    BlockShape(stage.kernel, stride, stage.expansion, before, after, index > 0)
                )
                before = after
            stages.append(tuple(blocks))
        return tuple(stages)

    def odd_strides(self, image_size: int) -> tuple[int, ...]:
        """Numbers of the blocks of stride 2 whose map has an odd side, counted through all stages.

        They are padded alike on all sides, the other blocks of stride 2 one pixel less before than after.
        """
        side, found = image_size // 2, []
        for number, block in enumerate(block for stage in self.blocks for block in stage):
            if block.stride == 2 and side % 2:
                found.append(number)
            side = -(-side // block.stride)
        return tuple(found)


# B0 to B7: the coefficients of the authors' code (the paper gives only the rule). mu is ours, for tests.
EFFICIENTNET_SIZES = {
    "mu": EfficientNetSize(
        0.025,
        1.0,
        (StageShape(3, 1, 1, 320, 1), StageShape(3, 2, 2, 320, 2), StageShape(5, 2, 4, 640, 1)),
    ),
    "B0": EfficientNetSize(1.0, 1.0),
    "B1": EfficientNetSize(1.0, 1.1),
    "B2": EfficientNetSize(1.1, 1.2),
    "B3": EfficientNetSize(1.2, 1.4),
    "B4": EfficientNetSize(1.4, 1.8),
    "B5": EfficientNetSize(1.6, 2.2),
    "B6": EfficientNetSize(1.8, 2.6),
    "B7": EfficientNetSize(2.0, 3.1),
}
