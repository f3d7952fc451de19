"""Vision Transformer (Dosovitskiy et al. 2021), with the variations that CLIP's towers need."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.layers import Attention, Mlp
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    replicated,
    transformer_rules,
)


@dataclass(frozen=True)
class ViTSize:
    """Width, depth, MLP width and heads of a tower."""

    width: int
    depth: int
    mlp: int
    heads: int


# S to L: Dosovitskiy et al. 2021, table 1 and Touvron et al. 2021 (DeiT-S); H: Dosovitskiy et al. 2021.
# mu and nano are ours: mu for tests, nano for a run of minutes on a CPU.
VIT_SIZES = {
    "mu": ViTSize(width=32, depth=2, mlp=64, heads=2),
    "nano": ViTSize(width=128, depth=4, mlp=512, heads=4),
    "S": ViTSize(width=384, depth=12, mlp=1536, heads=6),
    "B": ViTSize(width=768, depth=12, mlp=3072, heads=12),
    "L": ViTSize(width=1024, depth=24, mlp=4096, heads=16),
    "H": ViTSize(width=1280, depth=32, mlp=5120, heads=16),
}

# Mean and standard deviation of pixels in [0, 1], per channel: CLIP's published preprocessing; "half"
# maps to [-1, 1] as the original ViT does.
PIXEL_STATISTICS = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


@dataclass(frozen=True)
class ViTConfig:
    """Choices of one tower.

    Attributes:
        size: a name in `VIT_SIZES`.
        patch: side of a patch in pixels.
        image_size: side of the square input in pixels; a multiple of `patch`.
        pre_norm: LayerNorm before the first block, and no bias in the patch embedding (CLIP).
        activation: "gelu" or "quick_gelu" (CLIP).
        norm_epsilon: epsilon of every LayerNorm (CLIP 1e-5, ViT 1e-6).
        pixel_statistics: a name in `PIXEL_STATISTICS`.
        trained_blocks: the last so many blocks (and the final norm) are trained, the rest of the tower
            is frozen; -1 trains everything, 0 nothing.
        scan: compile one block and scan over the stack instead of unrolling it.
        remat: recompute activations of the trained blocks in the backward pass.
        dropout: rate after attention and MLP in the trained blocks.
    """

    size: str
    patch: int
    image_size: int
    pre_norm: bool
    activation: str
    norm_epsilon: float
    pixel_statistics: str
    trained_blocks: int
    scan: bool
    remat: bool
    dropout: float

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        if self.size not in VIT_SIZES:
            raise ValueError(
                f"config.system.visual.size={self.size!r}: expected one of {[*VIT_SIZES]}"
            )
        if self.image_size % self.patch:
            raise ValueError(
                f"config.system.visual.image_size={self.image_size}: expected a multiple of "
                f"config.system.visual.patch={self.patch}"
            )
        if not -1 <= self.trained_blocks <= self.shape.depth:
            raise ValueError(
                f"config.system.visual.trained_blocks={self.trained_blocks}: expected -1 (all) to "
                f"{self.shape.depth}, the depth of size {self.size!r}"
            )

    @property
    def shape(self) -> ViTSize:
        """The tower's dimensions."""
        return VIT_SIZES[self.size]

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return self.image_size // self.patch

    @property
    def segments(self) -> tuple[int, int]:
        """Numbers of frozen and of trained blocks."""
        trained = self.shape.depth if self.trained_blocks < 0 else self.trained_blocks
        return self.shape.depth - trained, trained

    @property
    def frozen_rules(self) -> tuple[str, ...]:
        """Path patterns, relative to the tower, of the parameters that are not trained."""
        if self.trained_blocks < 0:
            return ()
        everything_before = ("patch_embedding/", "class_token$", "position_embedding$")
        pre_norm = ("pre_norm/",) if self.pre_norm else ()
        blocks = ("frozen_blocks",) if self.segments[0] else ()
        return everything_before + pre_norm + blocks + (() if self.trained_blocks else ("norm/",))

    @property
    def partition_rules(self) -> PartitionRules:
        """How the tower's parameters lie on the mesh; paths relative to the tower."""
        return (
            ("patch_embedding/kernel$", PartitionSpec(None, STORAGE_AXIS)),
            *transformer_rules(r"\w+_blocks\w*", stacked=self.scan),
            replicated("(.*/)?(bias|scale|class_token|position_embedding)$"),
        )


def normalize_pixels(image: jax.Array, statistics: str, dtype: jnp.dtype) -> jax.Array:
    """Maps `image uint8 [B, H, W, 3]` to zero mean and unit variance on the device."""
    mean, deviation = (jnp.asarray(values, jnp.float32) for values in PIXEL_STATISTICS[statistics])
    scaled = image.astype(jnp.float32) / 255.0
    return ((scaled - mean[None, None, None]) / deviation[None, None, None]).astype(dtype)


def patches(grid: jax.Array, patch: int) -> jax.Array:
    """Cuts `[B, H, W, C]` into `[B, P, patch * patch * C]`, rows first."""
    batch, height, width, channels = grid.shape
    rows, columns = height // patch, width // patch
    cut = grid.reshape(batch, rows, patch, columns, patch, channels).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(batch, rows * columns, patch * patch * channels)


class Block(nn.Module):
    """Pre-LayerNorm transformer block; returns a pair so that `nn.scan` can carry it."""

    config: ViTConfig
    dropout: float
    train: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        """Maps tokens `x [B, 1 + P, D]` to the same shape."""
        shape = self.config.shape

        def norm(name: str) -> nn.LayerNorm:
            return nn.LayerNorm(epsilon=self.config.norm_epsilon, dtype=self.dtype, name=name)

        def drop(y: jax.Array) -> jax.Array:
            return nn.Dropout(self.dropout, deterministic=not self.train)(y)

        x = constrain_batch(x)
        h = norm("attention_norm")(x)
        x = x + drop(Attention(shape.heads, dtype=self.dtype, name="attention")(h, h))
        h = norm("mlp_norm")(x)
        x = x + drop(Mlp(shape.mlp, self.config.activation, dtype=self.dtype, name="mlp")(h))
        return x, None


class ViT(nn.Module):
    """Image tower: pixels to tokens, class token first.

    The blocks stand in two stacks, `frozen_blocks` and `trained_blocks`, so that a path rule can name
    either and a scanned stack never mixes the two.
    """

    config: ViTConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        """Encodes `image uint8 [B, H, W, 3]` into tokens `[B, 1 + P, D]` after the final LayerNorm."""
        config, width = self.config, self.config.shape.width
        x = patches(normalize_pixels(image, config.pixel_statistics, self.dtype), config.patch)
        x = nn.Dense(width, use_bias=not config.pre_norm, dtype=self.dtype, name="patch_embedding")(
            x
        )
        class_token = self.param("class_token", nn.initializers.normal(width**-0.5), (width,))
        class_tokens = jnp.broadcast_to(class_token.astype(x.dtype), (x.shape[0], 1, width))
        x = jnp.concatenate([class_tokens, x], axis=1)
        position = self.param(
            "position_embedding", nn.initializers.normal(width**-0.5), (config.grid**2 + 1, width)
        )
        x = x + position[None].astype(x.dtype)
        if config.pre_norm:
            x = nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype, name="pre_norm")(x)
        frozen, trained = config.segments
        x = self._stack("frozen_blocks", x, frozen, dropout=0.0, remat=False, train=False)
        x = self._stack(
            "trained_blocks", x, trained, dropout=config.dropout, remat=config.remat, train=train
        )
        return nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype, name="norm")(x)

    def _stack(
        self, name: str, x: jax.Array, depth: int, *, dropout: float, remat: bool, train: bool
    ) -> jax.Array:
        if not depth:
            return x
        block = nn.remat(Block, prevent_cse=not self.config.scan) if remat else Block
        if not self.config.scan:
            for index in range(depth):
                x, _ = block(self.config, dropout, train, self.dtype, name=f"{name}_{index:02d}")(
                    x, None
                )
            return x
        scanned = nn.scan(
            block,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            length=depth,
        )
        x, _ = scanned(self.config, dropout, train, self.dtype, name=name)(x, None)
        return x
