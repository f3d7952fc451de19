"""Choices of a Vision Transformer tower, and the published designs among which they choose."""

from dataclasses import dataclass
from typing import ClassVar

from jax.sharding import PartitionSpec

from geosurge_jax.models.flops import attention_flops, mlp_flops
from geosurge_jax.models.layers import ACTIVATIONS
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
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


# S to L: Dosovitskiy et al. 2021, table 1 and Touvron et al. 2021 (DeiT-S); H: Dosovitskiy et al. 2021;
# SO400M: Alabdulmohsin et al. 2023; g: Oquab et al. 2023 (DINOv2); H+: Simeoni et al. 2025 (DINOv3).
# mu and nano are ours: mu for tests, nano for a run of minutes on a CPU.
VIT_SIZES = {
    "mu": ViTSize(width=32, depth=2, mlp=64, heads=2),
    "nano": ViTSize(width=128, depth=4, mlp=512, heads=4),
    "S": ViTSize(width=384, depth=12, mlp=1536, heads=6),
    "B": ViTSize(width=768, depth=12, mlp=3072, heads=12),
    "L": ViTSize(width=1024, depth=24, mlp=4096, heads=16),
    "SO400M": ViTSize(width=1152, depth=27, mlp=4304, heads=16),
    "H": ViTSize(width=1280, depth=32, mlp=5120, heads=16),
    "H+": ViTSize(width=1280, depth=32, mlp=5120, heads=20),
    "g": ViTSize(width=1536, depth=40, mlp=4096, heads=24),
}


@dataclass(frozen=True)
class ViTDesign:
    """What sets the published towers apart, beside their sizes.

    Attributes:
        class_token: whether a learned token stands before the patches.
        patch_bias: whether the patch embedding has a bias.
        key_bias: whether keys have a bias.
        pre_norm: LayerNorm before the first block.
        rotary: positions turn queries and keys; otherwise learned vectors are added to the tokens.
        layer_scale: each branch of a block is multiplied by a learned vector (Touvron et al. 2021, CaiT).
        pooling: "class", the class token, or "attention", a learned probe that attends to all tokens.
    """

    class_token: bool = True
    patch_bias: bool = True
    key_bias: bool = True
    pre_norm: bool = False
    rotary: bool = False
    layer_scale: bool = False
    pooling: str = "class"


# Dosovitskiy et al. 2021; Radford et al. 2021; Zhai et al. 2023; Oquab et al. 2023; Simeoni et al. 2025.
VIT_DESIGNS = {
    "vit": ViTDesign(),
    "clip": ViTDesign(patch_bias=False, pre_norm=True),
    "siglip": ViTDesign(class_token=False, pooling="attention"),
    "dinov2": ViTDesign(layer_scale=True),
    "dinov3": ViTDesign(key_bias=False, rotary=True, layer_scale=True),
}


@dataclass(frozen=True)
class ViTConfig:
    """Choices of one tower.

    Attributes:
        kind: a name in `VIT_DESIGNS`.
        size: a name in `VIT_SIZES`.
        patch: side of a patch in pixels.
        registers: learned tokens between class token and patches, dropped at the end (Darcet et al. 2024).
        activation: a name in `ACTIVATIONS`.
        gated_mlp: whether the MLP is gated (SwiGLU).
        norm_epsilon: epsilon of every LayerNorm (CLIP 1e-5, ViT 1e-12, SigLIP 1e-6).
        projection: width of a linear projection of the pooled vector without bias, CLIP's way into the
            space that it shares with texts; 0 for none.
        preprocessing: what the tower expects of photos; its `image_size` a multiple of `patch`, or so little
            more that each patch would not be a pixel wider; that rest, right and below, is not seen.
        trained_blocks: the last so many blocks (and what follows them) are trained, the rest of the tower
            is frozen; -1 trains everything, 0 nothing.
        scan: compile one block and scan over the stack instead of unrolling it.
        remat: recompute activations of the trained blocks in the backward pass.
        dropout: rate after attention and MLP in the trained blocks.
    """

    KINDS: ClassVar[tuple[str, ...]] = tuple(VIT_DESIGNS)

    kind: str
    size: str
    patch: int
    registers: int
    activation: str
    gated_mlp: bool
    norm_epsilon: float
    projection: int
    preprocessing: Preprocessing
    trained_blocks: int
    scan: bool
    remat: bool
    dropout: float

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        for name, value, allowed in (
            ("kind", self.kind, VIT_DESIGNS),
            ("size", self.size, VIT_SIZES),
            ("activation", self.activation, ACTIVATIONS),
        ):
            if value not in allowed:
                raise ValueError(
                    f"config.system.visual.{name}={value!r}: expected one of {[*allowed]}"
                )
        # SigLIP's SO400M has 27 patches of 14 pixels in 384: what is left is less than a pixel a patch.
        if self.preprocessing.image_size % self.patch >= max(self.grid, 1):
            raise ValueError(
                f"config.system.visual.preprocessing.image_size={self.preprocessing.image_size}: expected "
                f"a multiple of config.system.visual.patch={self.patch}"
            )
        for name, value in (("registers", self.registers), ("projection", self.projection)):
            if value < 0:
                raise ValueError(f"config.system.visual.{name}={value}: expected 0 or more")
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
    def design(self) -> ViTDesign:
        """What sets its kind apart."""
        return VIT_DESIGNS[self.kind]

    @property
    def width(self) -> int:
        """D, width of a token."""
        return self.shape.width

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return self.preprocessing.image_size // self.patch

    @property
    def prefix(self) -> int:
        """Tokens before the patches."""
        return self.design.class_token + self.registers

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
        before = {
            "patch_embedding/": True,
            "class_token$": self.design.class_token,
            "registers$": self.registers > 0,
            "position_embedding$": not self.design.rotary,
            "pre_norm/": self.design.pre_norm,
            "frozen_blocks": self.segments[0] > 0,
        }
        after = {
            "norm/": True,
            "pooling/": self.design.pooling == "attention",
            "projection/": self.projection > 0,
        }
        there = before if self.trained_blocks else {**before, **after}
        return tuple(pattern for pattern, exists in there.items() if exists)

    @property
    def partition_rules(self) -> PartitionRules:
        """How the tower's parameters lie on the mesh; paths relative to the tower."""
        rules = [
            ("patch_embedding/kernel$", PartitionSpec(None, STORAGE_AXIS)),
            *transformer_rules(r"\w+_blocks\w*", stacked=self.scan),
        ]
        if self.design.pooling == "attention":
            rules += transformer_rules("pooling", stacked=False)
        if self.projection:
            rules.append(("projection/kernel$", PartitionSpec(STORAGE_AXIS)))
        small = (
            "bias|scale|class_token|registers|position_embedding|probe|attention_scale|mlp_scale"
        )
        return (*rules, replicated(f"(.*/)?({small})$"))

    @property
    def flops(self) -> tuple[int, int]:
        """Forward FLOPs for one photo: (frozen part, trained part)."""
        shape, patches = self.shape, self.grid**2
        tokens = patches + self.prefix
        mlp = mlp_flops(tokens, shape.width, shape.mlp, gated=self.gated_mlp)
        block = attention_flops(tokens, tokens, shape.width) + mlp
        embedding = 2 * patches * self.patch**2 * 3 * shape.width
        end = 2 * shape.width * self.projection
        if self.design.pooling == "attention":
            end += attention_flops(1, tokens, shape.width) + mlp_flops(1, shape.width, shape.mlp)
        frozen, trained = self.segments
        if self.trained_blocks < 0:
            return 0, embedding + trained * block + end
        if not self.trained_blocks:
            return embedding + frozen * block + end, 0
        return embedding + frozen * block, trained * block + end
