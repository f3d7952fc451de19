"""EfficientNet (Tan and Le 2019), as published checkpoints of transformers' `EfficientNetModel` compute it.

Padding is TensorFlow's, under which the weights were trained: a convolution of stride 2 takes one pixel less
on the left and above of a map of even side. The statistics of batch normalisation are those of the weights.
"""

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.batch_norm import STATISTICS_RULE, FrozenBatchNorm
from geosurge_jax.models.efficientnet_sizes import EFFICIENTNET_SIZES, BlockShape, EfficientNetSize
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    replicated,
)
from geosurge_jax.models.stages import check_choice, check_stages, split_flops, stage_rules
from geosurge_jax.models.tower import Features, ImageTower


@dataclass(frozen=True)
class EfficientNetConfig:
    """Choices of one tower.

    Attributes:
        kind: "efficientnet".
        size: a name in `EFFICIENTNET_SIZES`.
        norm_epsilon: epsilon of every batch normalisation (published: 1e-3).
        preprocessing: what it expects of photos; `image_size` is even (published: 224, 240, 260, 300,
            380, 456, 528 and 600 for B0 to B7).
        trained_stages: the last so many stages (and the convolution on top) are trained, the rest of the
            tower is frozen; -1 trains everything, 0 nothing. The statistics of batch normalisation are
            never trained.
    """

    kind: str
    size: str
    norm_epsilon: float
    preprocessing: Preprocessing
    trained_stages: int

    KINDS: ClassVar[tuple[str, ...]] = ("efficientnet",)

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        check_choice("kind", self.kind, self.KINDS)
        check_choice("size", self.size, [*EFFICIENTNET_SIZES])
        check_stages(self.trained_stages, len(self.shape.stages), self.size)
        size = self.preprocessing.image_size
        if size % 2 or size < 32:
            raise ValueError(
                f"config.system.visual.preprocessing.image_size={size}: expected an even number, 32 or more"
            )

    @property
    def shape(self) -> EfficientNetSize:
        """The tower's dimensions."""
        return EFFICIENTNET_SIZES[self.size]

    @property
    def width(self) -> int:
        """D, channels of the last map."""
        return self.shape.top

    @property
    def grid(self) -> int:
        """Tokens along one side of the photo."""
        side = self.preprocessing.image_size // 2
        for stage in self.shape.stages:
            side = -(-side // stage.stride)
        return side

    @property
    def frozen_rules(self) -> tuple[str, ...]:
        """Path patterns, relative to the tower, of the parameters that are not trained."""
        stages = stage_rules(self.trained_stages, len(self.shape.stages), ("stem/",), "top/")
        return (*stages, STATISTICS_RULE)

    @property
    def partition_rules(self) -> PartitionRules:
        """How the parameters lie on the mesh; paths relative to the tower."""
        return (
            (
                r"(.*/)?(stem|expand|project|top)/(convolution/)?kernel$",
                PartitionSpec(None, None, None, STORAGE_AXIS),
            ),
            # A squeeze leaves few channels, which divide by nothing.
            (r"(.*/)?squeeze/reduce/kernel$", PartitionSpec(None, None, STORAGE_AXIS)),
            # Split by channel, a depthwise kernel makes the compiler split the map by channel too and hold
            # the whole batch of it.
            replicated(r"(.*/)?depthwise/convolution/kernel$"),
            replicated("(.*/)?(scale|bias|mean|variance)$"),
        )

    @property
    def flops(self) -> tuple[int, int]:
        """Forward FLOPs for one photo: (frozen part, trained part)."""
        shape = self.shape
        side = self.preprocessing.image_size // 2
        stem = 2 * side**2 * 9 * 3 * shape.stem
        stages = []
        for blocks in shape.blocks:
            total = 0
            for block in blocks:
                expand = block.before * block.inner if block.expands else 0
                total += 2 * side**2 * expand
                side = -(-side // block.stride)
                kernels = block.kernel**2 * block.inner + block.inner * block.after
                total += 2 * side**2 * kernels + 4 * block.inner * block.squeezed
            stages.append(total)
        top = 2 * side**2 * shape.blocks[-1][-1].after * shape.top
        return split_flops(self.trained_stages, stem, stages, top)


class NormalizedConvolution(nn.Module):
    """Convolution without bias and its normalisation.

    Attributes:
        after: channels out.
        kernel: side of the kernel.
        stride: step in both directions.
        depthwise: each channel has its own kernel and sees no other.
        epsilon: of the normalisation.
        dtype: compute type; parameters are float32.
    """

    after: int
    kernel: int
    stride: int
    depthwise: bool
    epsilon: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [B, H, W, before]` to `[B, ceil(H / stride), ceil(W / stride), after]`."""
        x = nn.Conv(
            self.after,
            (self.kernel,) * 2,
            self.stride,
            "SAME",
            feature_group_count=self.after if self.depthwise else 1,
            use_bias=False,
            dtype=self.dtype,
            name="convolution",
        )(x)
        return FrozenBatchNorm(self.epsilon, dtype=self.dtype, name="norm")(x)


class Squeeze(nn.Module):
    """Weighs the channels by what the whole map holds (Hu et al. 2018, squeeze and excitation)."""

    squeezed: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Scales `x [B, H, W, C]` by channel."""
        # Stated at each step: the compiler would follow the kernels, which are split by channel.
        h = constrain_batch(x.mean(axis=(1, 2), keepdims=True))
        h = constrain_batch(nn.Conv(self.squeezed, (1, 1), dtype=self.dtype, name="reduce")(h))
        h = nn.Conv(x.shape[-1], (1, 1), dtype=self.dtype, name="expand")(nn.silu(h))
        return x * nn.sigmoid(constrain_batch(h))


class Block(nn.Module):
    """Inverted bottleneck (Sandler et al. 2018): widen, convolve by channel, weigh, narrow."""

    shape: BlockShape
    epsilon: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [B, H, W, before]` to `[B, ceil(H / stride), ceil(W / stride), after]`."""
        shape, before = self.shape, constrain_batch(x)

        def convolve(name: str, after: int, kernel: int, stride: int, depthwise: bool) -> nn.Module:
            return NormalizedConvolution(
                after, kernel, stride, depthwise, self.epsilon, self.dtype, name=name
            )

        x = before
        if shape.expands:
            x = nn.silu(convolve("expand", shape.inner, 1, 1, False)(x))
        x = nn.silu(convolve("depthwise", shape.inner, shape.kernel, shape.stride, True)(x))
        x = Squeeze(shape.squeezed, self.dtype, name="squeeze")(x)
        x = convolve("project", shape.after, 1, 1, False)(x)
        return x + before if shape.residual else x


class Stage(nn.Module):
    """Blocks at one resolution; the first brings the map to it."""

    blocks: tuple[BlockShape, ...]
    epsilon: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps the map of the stage before, `[B, H, W, C]`, to this one's."""
        for index, shape in enumerate(self.blocks):
            x = Block(shape, self.epsilon, self.dtype, name=f"block_{index:02d}")(x)
        return x


class EfficientNet(ImageTower):
    """Image tower: pixels to the last map and its mean."""

    config: EfficientNetConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def look(self, image: jax.Array, *, train: bool) -> Features:
        """Encodes `image uint8 [B, H, W, 3]`; `train` changes nothing, as nothing here is random."""
        config, shape, epsilon = self.config, self.config.shape, self.config.norm_epsilon
        x = config.preprocessing.normalize(image, self.dtype)
        stem = NormalizedConvolution(shape.stem, 3, 2, False, epsilon, self.dtype, name="stem")
        x = nn.silu(stem(x))
        for index, blocks in enumerate(shape.blocks):
            x = Stage(blocks, epsilon, self.dtype, name=f"stage_{index}")(x)
        top = NormalizedConvolution(shape.top, 1, 1, False, epsilon, self.dtype, name="top")
        x = nn.silu(top(x))
        tokens = x.reshape(x.shape[0], -1, x.shape[-1])
        return Features(pooled=tokens.mean(axis=1), tokens=tokens)
