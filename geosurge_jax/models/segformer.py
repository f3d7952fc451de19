"""SegFormer (Xie et al., NeurIPS 2021): a class for each pixel, as published checkpoints compute it.

Its job here is to make the class maps that the systems read; it is not trained. It computes what
`SegformerForSemanticSegmentation` of transformers does, all of whose LayerNorms have PyTorch's epsilon:
nobody there reads `layer_norm_eps` of config.json.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from geosurge_jax.models.batch_norm import FrozenBatchNorm
from geosurge_jax.models.layers import Attention, exact_gelu
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.sharding import constrain_batch

NORM_EPSILON = 1e-5
MLP_RATIO = 4
# Of the four stages: side and stride of the patches, and the side of the square of tokens that becomes one
# key and one value (Xie et al. 2021, section 3.1 and table 6).
PATCHES = (7, 3, 3, 3)
STRIDES = (4, 2, 2, 2)
REDUCTIONS = (8, 4, 2, 1)
# Below it nothing would be left of a stage's map for the keys.
LEAST_IMAGE_SIZE = 32
# A class map holds ids in one byte, of which 255 stands for unknown.
MOST_CLASSES = 255


@dataclass(frozen=True)
class SegformerSize:
    """Width, blocks and heads of each stage, and the width of the decoder."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    decoder: int


def _wide(depths: tuple[int, int, int, int], decoder: int = 768) -> SegformerSize:
    return SegformerSize((64, 128, 320, 512), depths, (1, 2, 5, 8), decoder)


# B0 to B5: Xie et al. 2021, table 6. mu is ours, for tests.
SEGFORMER_SIZES = {
    "mu": SegformerSize((8, 16, 24, 32), (1, 2, 1, 1), (1, 2, 3, 4), 16),
    "B0": SegformerSize((32, 64, 160, 256), (2, 2, 2, 2), (1, 2, 5, 8), 256),
    "B1": _wide((2, 2, 2, 2), decoder=256),
    "B2": _wide((3, 4, 6, 3)),
    "B3": _wide((3, 4, 18, 3)),
    "B4": _wide((3, 8, 27, 3)),
    "B5": _wide((3, 6, 40, 3)),
}


@dataclass(frozen=True)
class SegformerConfig:
    """Choices of one segmenter.

    Attributes:
        size: a name in `SEGFORMER_SIZES`.
        class_names: of the C classes, in the order of their ids.
        preprocessing: what it expects of photos: the whole of each, stretched to a square.
    """

    size: str
    class_names: tuple[str, ...]
    preprocessing: Preprocessing

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range."""
        if self.size not in SEGFORMER_SIZES:
            raise ValueError(f"size={self.size!r}: expected one of {[*SEGFORMER_SIZES]}")
        if not 1 <= len(self.class_names) <= MOST_CLASSES:
            raise ValueError(f"{len(self.class_names)} classes: expected 1 to {MOST_CLASSES}")
        made = self.preprocessing
        if (made.resize, made.resize_ratio) != ("stretch", 1.0):
            raise ValueError(
                f"preprocessing resizes by {made.resize!r} to {made.resize_ratio} of the square: expected "
                "'stretch' to 1.0, as a map is of the whole photo"
            )
        if made.image_size < LEAST_IMAGE_SIZE:
            raise ValueError(f"image_size={made.image_size}: expected {LEAST_IMAGE_SIZE} or more")

    @property
    def shape(self) -> SegformerSize:
        """The dimensions."""
        return SEGFORMER_SIZES[self.size]


def _norm(dtype: jnp.dtype, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=NORM_EPSILON, dtype=dtype, name=name)


class MixMlp(nn.Module):
    """MLP with a depthwise 3 x 3 convolution, whose padding tells tokens where they are (section 3.1).

    Attributes:
        dtype: compute type; parameters are float32.
    """

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [B, H, W, D]` to the same shape."""
        width = x.shape[-1]
        hidden = MLP_RATIO * width
        h = nn.Dense(hidden, dtype=self.dtype, name="up")(x)
        h = nn.Conv(
            hidden, (3, 3), padding=1, feature_group_count=hidden, dtype=self.dtype, name="mix"
        )(h)
        return nn.Dense(width, dtype=self.dtype, name="down")(exact_gelu(h))


class Block(nn.Module):
    """Pre-LayerNorm transformer block whose keys and values come from a smaller map.

    Attributes:
        heads: number of heads.
        reduction: r: each r x r tokens become one key and one value; 1 for none.
        dtype: compute type; parameters are float32.
    """

    heads: int
    reduction: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [B, H, W, D]` to the same shape."""
        batch, height, width, channels = x.shape
        x = constrain_batch(x)
        queries = context = _norm(self.dtype, "attention_norm")(x)
        if self.reduction > 1:
            side = (self.reduction,) * 2
            context = nn.Conv(channels, side, side, "VALID", dtype=self.dtype, name="reduction")(
                queries
            )
            context = _norm(self.dtype, "reduction_norm")(context)
        attended = Attention(self.heads, dtype=self.dtype, name="attention")(
            queries.reshape(batch, -1, channels), context.reshape(batch, -1, channels)
        )
        x = x + attended.reshape(batch, height, width, channels)
        return x + MixMlp(self.dtype, name="mlp")(_norm(self.dtype, "mlp_norm")(x))


class Stage(nn.Module):
    """Overlapping patches of the map before, and blocks at their resolution.

    Attributes:
        shape: the dimensions.
        index: 0 to 3.
        dtype: compute type; parameters are float32.
    """

    shape: SegformerSize
    index: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [B, H, W, C]` to `[B, ceil(H / stride), ceil(W / stride), D]`, normalised."""
        shape, index = self.shape, self.index
        x = nn.Conv(
            shape.widths[index],
            (PATCHES[index],) * 2,
            STRIDES[index],
            PATCHES[index] // 2,
            dtype=self.dtype,
            name="patch_embedding",
        )(x)
        x = _norm(self.dtype, "patch_norm")(x)
        for block in range(shape.depths[index]):
            x = Block(shape.heads[index], REDUCTIONS[index], self.dtype, name=f"block_{block:02d}")(
                x
            )
        return _norm(self.dtype, "norm")(x)


class Decoder(nn.Module):
    """The four maps, each projected to one width, fused at the resolution of the first (section 3.2).

    Attributes:
        width: D of the decoder.
        classes: C.
        dtype: compute type; parameters are float32.
    """

    width: int
    classes: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, maps: list[jax.Array]) -> jax.Array:
        """Maps four maps `[B, H_i, W_i, D_i]`, finest first, to logits `[B, H_0, W_0, C]`."""
        kernel = self.param(
            "fuse", nn.initializers.lecun_normal(), (len(maps) * self.width, self.width)
        )
        # The published fusion is one product with all projected maps at the first one's resolution, deepest
        # first. Bilinear upsampling and a product by pixel commute, so each map takes its rows of the kernel
        # at its own resolution: a third of the multiplications, and no concatenated map in memory.
        shares = reversed(jnp.split(kernel.astype(self.dtype), len(maps)))
        fused = jnp.zeros((), self.dtype)
        for index, (x, share) in enumerate(zip(maps, shares, strict=True)):
            x = nn.Dense(self.width, dtype=self.dtype, name=f"project_{index}")(x) @ share
            shape = (x.shape[0], *maps[0].shape[1:3], self.width)
            fused = constrain_batch(fused + jax.image.resize(x, shape, "bilinear", antialias=False))
        fused = nn.relu(FrozenBatchNorm(NORM_EPSILON, dtype=self.dtype, name="norm")(fused))
        return nn.Dense(self.classes, dtype=self.dtype, name="classifier")(fused)


class Segformer(nn.Module):
    """Photos to a score of each class at each fourth pixel.

    Attributes:
        config: its choices.
        dtype: compute type; parameters are float32.
    """

    config: SegformerConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """Maps `image uint8 [B, H, W, 3]` to logits `[B, ceil(H / 4), ceil(W / 4), C]`."""
        config = self.config
        x, maps = config.preprocessing.normalize(image, self.dtype), []
        for index in range(len(config.shape.depths)):
            x = Stage(config.shape, index, self.dtype, name=f"stage_{index}")(x)
            maps.append(x)
        classes = len(config.class_names)
        return Decoder(config.shape.decoder, classes, self.dtype, name="decoder")(maps)
