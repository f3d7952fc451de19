"""Residual networks (He et al. 2015), with the stride of a bottleneck in its 3 x 3 convolution.

That place of the stride, and not the first 1 x 1 convolution of the paper, is what published weights have
("v1.5", transformers' `ResNetModel`). The statistics of batch normalisation are those of the weights.
"""

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.batch_norm import STATISTICS_RULE, FrozenBatchNorm
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.resnet_sizes import RESNET_SIZES, Convolution, ResNetSize
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    replicated,
)
from geosurge_jax.models.stages import check_choice, check_stages, split_flops, stage_rules
from geosurge_jax.models.tower import Features, ImageTower

NORM_EPSILON = 1e-5
# Photos below it would leave less than one pixel of the last map.
LEAST_IMAGE_SIZE = 32


@dataclass(frozen=True)
class ResNetConfig:
    """Choices of one tower.

    Attributes:
        kind: "resnet".
        size: a name in `RESNET_SIZES`.
        preprocessing: what it expects of photos.
        trained_stages: the last so many stages are trained, the rest of the tower is frozen; -1 trains
            everything, 0 nothing. The statistics of batch normalisation are never trained.
    """

    kind: str
    size: str
    preprocessing: Preprocessing
    trained_stages: int

    KINDS: ClassVar[tuple[str, ...]] = ("resnet",)

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        check_choice("kind", self.kind, self.KINDS)
        check_choice("size", self.size, [*RESNET_SIZES])
        check_stages(self.trained_stages, len(self.shape.depths), self.size)
        if self.preprocessing.image_size < LEAST_IMAGE_SIZE:
            raise ValueError(
                f"config.system.visual.preprocessing.image_size={self.preprocessing.image_size}: expected "
                f"{LEAST_IMAGE_SIZE} or more"
            )

    @property
    def shape(self) -> ResNetSize:
        """The tower's dimensions."""
        return RESNET_SIZES[self.size]

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of the stem's convolution's map, and of each stage's; every halving rounds up."""
        convolved = -(-self.preprocessing.image_size // 2)
        sides = [convolved, -(-convolved // 2)]
        for _ in self.shape.depths[1:]:
            sides.append(-(-sides[-1] // 2))
        return tuple(sides)

    @property
    def width(self) -> int:
        """D, channels of the last map."""
        return self.shape.widths[-1]

    @property
    def grid(self) -> int:
        """Tokens along one side of the photo."""
        return self.sides[-1]

    @property
    def frozen_rules(self) -> tuple[str, ...]:
        """Path patterns, relative to the tower, of the parameters that are not trained."""
        stages = stage_rules(self.trained_stages, len(self.shape.depths), ("stem/",), "")
        return (*stages, STATISTICS_RULE)

    @property
    def partition_rules(self) -> PartitionRules:
        """How the parameters lie on the mesh; paths relative to the tower."""
        return (
            (
                r"(.*/)?(stem|layer_\d|shortcut)/convolution/kernel$",
                PartitionSpec(None, None, None, STORAGE_AXIS),
            ),
            replicated("(.*/)?norm/(scale|bias|mean|variance)$"),
        )

    @property
    def flops(self) -> tuple[int, int]:
        """Forward FLOPs for one photo: (frozen part, trained part)."""
        shape = self.shape
        stem = 2 * self.sides[0] ** 2 * 7 * 7 * 3 * shape.stem
        stages = [
            sum(self._block_flops(stage, block) for block in range(depth))
            for stage, depth in enumerate(shape.depths)
        ]
        return split_flops(self.trained_stages, stem, stages, 0)

    def _block_flops(self, stage: int, block: int) -> int:
        # sides begins with the stem's, so a stage's own is one further.
        side = self.sides[stage if stage and not block else stage + 1]
        total = 0
        for part in self.shape.series(stage, block):
            side = -(-side // part.stride)
            total += 2 * side**2 * part.kernel**2 * part.before * part.after
        around = self.shape.shortcut(stage, block)
        return total + (2 * side**2 * around.before * around.after if around else 0)


class NormalizedConvolution(nn.Module):
    """Convolution without bias, padded by half its kernel on every side, and its normalisation."""

    part: Convolution
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [B, H, W, before]` to `[B, ceil(H / stride), ceil(W / stride), after]`."""
        x = nn.Conv(
            self.part.after,
            (self.part.kernel,) * 2,
            self.part.stride,
            self.part.kernel // 2,
            use_bias=False,
            dtype=self.dtype,
            name="convolution",
        )(x)
        # Stated for each: kernels are split by channels, and their results would be too.
        return constrain_batch(FrozenBatchNorm(NORM_EPSILON, dtype=self.dtype, name="norm")(x))


class Block(nn.Module):
    """Convolutions in series and the way around them."""

    series: tuple[Convolution, ...]
    around: Convolution | None
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [B, H, W, before]` to `[B, ceil(H / stride), ceil(W / stride), after]`."""
        x = constrain_batch(x)
        before = x
        if self.around:
            before = NormalizedConvolution(self.around, self.dtype, name="shortcut")(x)
        for index, part in enumerate(self.series):
            x = NormalizedConvolution(part, self.dtype, name=f"layer_{index}")(x)
            x = nn.relu(x) if index < len(self.series) - 1 else x
        return nn.relu(x + before)


class Stage(nn.Module):
    """Blocks at one resolution; the first brings the map to it."""

    shape: ResNetSize
    index: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps the map of the stage before, `[B, H, W, C]`, to this one's."""
        for block in range(self.shape.depths[self.index]):
            series = self.shape.series(self.index, block)
            around = self.shape.shortcut(self.index, block)
            x = Block(series, around, self.dtype, name=f"block_{block:02d}")(x)
        return x


class ResNet(ImageTower):
    """Image tower: pixels to the last map and its mean."""

    config: ResNetConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def look(self, image: jax.Array, *, train: bool) -> Features:
        """Encodes `image uint8 [B, H, W, 3]`; `train` changes nothing, as nothing here is random."""
        shape = self.config.shape
        x = self.config.preprocessing.normalize(image, self.dtype)
        x = NormalizedConvolution(Convolution(7, 2, 3, shape.stem), self.dtype, name="stem")(x)
        # Nothing is below 0 here, so zeros around the map never are the greatest.
        x = jnp.pad(nn.relu(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = nn.max_pool(x, (3, 3), (2, 2))
        for index in range(len(shape.depths)):
            x = Stage(shape, index, self.dtype, name=f"stage_{index}")(x)
        tokens = x.reshape(x.shape[0], -1, x.shape[-1])
        return Features(pooled=tokens.mean(axis=1), tokens=tokens)
