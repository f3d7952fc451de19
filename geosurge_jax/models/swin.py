"""Swin Transformer (Liu et al. 2021), as published checkpoints of transformers' `SwinModel` compute it."""

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.layers import Mlp
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    replicated,
    transformer_rules,
)
from geosurge_jax.models.stages import check_choice, check_stages, split_flops, stage_rules
from geosurge_jax.models.swin_windows import WindowAttention, cut_windows, join_windows
from geosurge_jax.models.tower import Features, ImageTower

# Norms of patch embedding and merging take PyTorch's epsilon, whatever `norm_epsilon` says.
EMBEDDING_EPSILON = 1e-5
MLP_RATIO = 4


@dataclass(frozen=True)
class SwinSize:
    """Width of the first stage, which doubles in each that follows; blocks and heads of each stage."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]


# T to L: Liu et al. 2021, section 3.3; heads are 32 wide. mu is ours, for tests.
SWIN_SIZES = {
    "mu": SwinSize(width=16, depths=(2, 2), heads=(2, 4)),
    "T": SwinSize(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24)),
    "S": SwinSize(width=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24)),
    "B": SwinSize(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32)),
    "L": SwinSize(width=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48)),
}


@dataclass(frozen=True)
class SwinConfig:
    """Choices of one tower.

    Attributes:
        kind: "swin".
        size: a name in `SWIN_SIZES`.
        patch: side of a patch in pixels.
        window: side of a window in tokens.
        norm_epsilon: epsilon of the blocks' LayerNorms and of the last one.
        preprocessing: what it expects of photos; `image_size` is a multiple of `patch`.
        trained_stages: the last so many stages (and the final norm) are trained, the rest of the tower is
            frozen; -1 trains everything, 0 nothing. The merging of patches belongs to the stage that it
            opens.
        dropout: rate after attention and MLP in the trained stages.
    """

    kind: str
    size: str
    patch: int
    window: int
    norm_epsilon: float
    preprocessing: Preprocessing
    trained_stages: int
    dropout: float

    KINDS: ClassVar[tuple[str, ...]] = ("swin",)

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        check_choice("kind", self.kind, self.KINDS)
        check_choice("size", self.size, [*SWIN_SIZES])
        check_stages(self.trained_stages, len(self.shape.depths), self.size)
        if self.preprocessing.image_size % self.patch:
            raise ValueError(
                f"config.system.visual.preprocessing.image_size={self.preprocessing.image_size}: expected a "
                f"multiple of config.system.visual.patch={self.patch}"
            )
        if not 1 <= self.window <= self.grid:
            raise ValueError(
                f"config.system.visual.window={self.window}: expected 1 to {self.grid}, the side of the last "
                f"stage's map at preprocessing.image_size={self.preprocessing.image_size}"
            )

    @property
    def shape(self) -> SwinSize:
        """The tower's dimensions."""
        return SWIN_SIZES[self.size]

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of each stage's map in tokens; merging rounds up."""
        sides = [self.preprocessing.image_size // self.patch]
        for _ in self.shape.depths[1:]:
            sides.append(-(-sides[-1] // 2))
        return tuple(sides)

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each stage's tokens."""
        return tuple(self.shape.width * 2**index for index in range(len(self.shape.depths)))

    @property
    def width(self) -> int:
        """D, width of a token."""
        return self.widths[-1]

    @property
    def grid(self) -> int:
        """Tokens along one side of the photo."""
        return self.sides[-1]

    @property
    def frozen_rules(self) -> tuple[str, ...]:
        """Path patterns, relative to the tower, of the parameters that are not trained."""
        before = ("patch_embedding/", "patch_norm/")
        return stage_rules(self.trained_stages, len(self.shape.depths), before, "norm/")

    @property
    def partition_rules(self) -> PartitionRules:
        """How the parameters lie on the mesh; paths relative to the tower."""
        return (
            ("patch_embedding/kernel$", PartitionSpec(None, None, None, STORAGE_AXIS)),
            *transformer_rules(r"stage_\d+/block_\d+", stacked=False),
            (r"stage_\d+/merging/reduction/kernel$", PartitionSpec(None, STORAGE_AXIS)),
            replicated("(.*/)?(bias|scale|relative_position_bias)$"),
        )

    @property
    def flops(self) -> tuple[int, int]:
        """Forward FLOPs for one photo: (frozen part, trained part)."""
        embedding = 2 * self.sides[0] ** 2 * self.patch**2 * 3 * self.widths[0]
        stages = []
        for index, (depth, side, width) in enumerate(
            zip(self.shape.depths, self.sides, self.widths, strict=True)
        ):
            padded = (-(-side // self.window) * self.window) ** 2
            attention = 4 * padded * width * (2 * width + self.window**2)
            mlp = 4 * side * side * width * MLP_RATIO * width
            merging = 2 * side * side * (2 * width) * width if index else 0
            stages.append(merging + depth * (attention + mlp))
        return split_flops(self.trained_stages, embedding, stages, 0)


class Block(nn.Module):
    """Pre-LayerNorm transformer block whose attention stays within windows."""

    config: SwinConfig
    heads: int
    shifted: bool
    dropout: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps `x [B, H, W, C]`, H equal to W, to the same shape."""
        side, width, window = x.shape[1], x.shape[-1], self.config.window

        def norm(name: str) -> nn.LayerNorm:
            return nn.LayerNorm(epsilon=self.config.norm_epsilon, dtype=self.dtype, name=name)

        def drop(y: jax.Array) -> jax.Array:
            return nn.Dropout(self.dropout, deterministic=not train)(y)

        x = constrain_batch(x)
        h = norm("attention_norm")(x)
        # Padding attends and is attended to like any token, as its keys are the biases.
        padding = -side % window
        h = jnp.pad(h, ((0, 0), (0, padding), (0, padding), (0, 0)))
        # One window that holds the whole map has nothing to be shifted against.
        shift = window // 2 if self.shifted and side > window else 0
        h = jnp.roll(h, (-shift, -shift), axis=(1, 2)) if shift else h
        attention = WindowAttention(self.heads, dtype=self.dtype, name="attention")
        h = join_windows(attention(cut_windows(h, window), shift), side + padding)
        h = jnp.roll(h, (shift, shift), axis=(1, 2)) if shift else h
        x = x + drop(h[:, :side, :side])
        mlp = Mlp(MLP_RATIO * width, "gelu", dtype=self.dtype, name="mlp")
        return x + drop(mlp(norm("mlp_norm")(x)))


class Merging(nn.Module):
    """Makes one token of each square of four, of twice the width; an odd map is padded with zeros."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [B, H, W, C]` to `[B, ceil(H / 2), ceil(W / 2), 2 * C]`."""
        width, odd = x.shape[-1], x.shape[1] % 2
        x = jnp.pad(x, ((0, 0), (0, odd), (0, odd), (0, 0)))
        # Columns outermost: the order in which the published weights know the four.
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        x = jnp.concatenate(corners, axis=-1)
        x = nn.LayerNorm(epsilon=EMBEDDING_EPSILON, dtype=self.dtype, name="norm")(x)
        return nn.Dense(2 * width, use_bias=False, dtype=self.dtype, name="reduction")(x)


class Stage(nn.Module):
    """Blocks at one resolution; every second one shifts its windows."""

    config: SwinConfig
    index: int
    dropout: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Maps the map of the stage before, `[B, H, W, C]`, to this one's."""
        shape = self.config.shape
        if self.index:
            x = Merging(self.dtype, name="merging")(x)
        for block in range(shape.depths[self.index]):
            x = Block(
                self.config,
                heads=shape.heads[self.index],
                shifted=block % 2 == 1,
                dropout=self.dropout,
                dtype=self.dtype,
                name=f"block_{block:02d}",
            )(x, train=train)
        return x


class Swin(ImageTower):
    """Image tower: pixels to the last stage's normalised tokens and their mean."""

    config: SwinConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def look(self, image: jax.Array, *, train: bool) -> Features:
        """Encodes `image uint8 [B, H, W, 3]`."""
        config, patch = self.config, (self.config.patch,) * 2
        x = config.preprocessing.normalize(image, self.dtype)
        x = nn.Conv(
            config.widths[0], patch, patch, "VALID", dtype=self.dtype, name="patch_embedding"
        )(x)
        x = nn.LayerNorm(epsilon=EMBEDDING_EPSILON, dtype=self.dtype, name="patch_norm")(x)
        stages = len(config.shape.depths)
        frozen = 0 if config.trained_stages < 0 else stages - config.trained_stages
        for index in range(stages):
            trained = index >= frozen
            dropout = config.dropout if trained else 0.0
            stage = Stage(config, index, dropout, self.dtype, name=f"stage_{index}")
            x = stage(x, train=train and trained)
        x = nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype, name="norm")(x)
        tokens = x.reshape(x.shape[0], -1, x.shape[-1])
        return Features(pooled=tokens.mean(axis=1), tokens=tokens)
