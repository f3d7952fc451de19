"""Vision Transformer (Dosovitskiy et al. 2021) in the designs of `VIT_DESIGNS`."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from geosurge_jax.models.layers import Attention, Mlp, Rotation
from geosurge_jax.models.rotary import patch_rotation
from geosurge_jax.models.sharding import constrain_batch
from geosurge_jax.models.tower import Features, ImageTower
from geosurge_jax.models.vit_config import ViTConfig


def patches(grid: jax.Array, patch: int) -> jax.Array:
    """Cuts `[B, H, W, C]` into `[B, P, patch * patch * C]`, rows first; only whole patches, from top left."""
    batch, height, width, channels = grid.shape
    rows, columns = height // patch, width // patch
    grid = grid[:, : rows * patch, : columns * patch]
    cut = grid.reshape(batch, rows, patch, columns, patch, channels).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(batch, rows * columns, patch * patch * channels)


class Block(nn.Module):
    """Pre-LayerNorm transformer block; returns a pair so that `nn.scan` can carry it."""

    config: ViTConfig
    dropout: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, x: jax.Array, rotation: Rotation | None, train: bool
    ) -> tuple[jax.Array, None]:
        """Maps tokens `x [B, N, D]` to the same shape; `rotation` is of the patches, or None."""
        config, width = self.config, x.shape[-1]

        def norm(name: str) -> nn.LayerNorm:
            return nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype, name=name)

        def branch(y: jax.Array, scale: str) -> jax.Array:
            if config.design.layer_scale:
                factor = self.param(scale, nn.initializers.ones, (width,))
                y = y * factor[None, None].astype(y.dtype)
            return nn.Dropout(self.dropout, deterministic=not train)(y)

        x = constrain_batch(x)
        h = norm("attention_norm")(x)
        attention = Attention(
            config.shape.heads, key_bias=config.design.key_bias, dtype=self.dtype, name="attention"
        )
        x = x + branch(attention(h, h, rotation=rotation), "attention_scale")
        mlp = Mlp(
            config.shape.mlp, config.activation, config.gated_mlp, dtype=self.dtype, name="mlp"
        )
        x = x + branch(mlp(norm("mlp_norm")(x)), "mlp_scale")
        return x, None


class AttentionPooling(nn.Module):
    """A learned probe attends to all tokens (Lee et al. 2019; SigLIP's head).

    Attributes:
        config: the tower's.
        dtype: compute type.
    """

    config: ViTConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Pools `tokens [B, N, D]` into `[B, D]`."""
        config, width = self.config, tokens.shape[-1]
        probe = self.param("probe", nn.initializers.normal(width**-0.5), (width,))
        query = jnp.broadcast_to(probe.astype(tokens.dtype), (tokens.shape[0], 1, width))
        x = Attention(config.shape.heads, dtype=self.dtype, name="attention")(query, tokens)
        h = nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype, name="norm")(x)
        x = x + Mlp(config.shape.mlp, config.activation, dtype=self.dtype, name="mlp")(h)
        return x[:, 0]


class ViT(ImageTower):
    """Image tower.

    The blocks stand in two stacks, `frozen_blocks` and `trained_blocks`, so that a path rule can name
    either and a scanned stack never mixes the two. A system that has to do something between two blocks
    takes the tower in steps: `embed` or `embed_patches`, each `block`, `read_out`; one whose patches are not
    pixels takes `embed_patches` and `encode`.
    """

    config: ViTConfig
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        """Names the parts; the parameters of a part that is not called are not made."""
        config, design, width = self.config, self.config.design, self.config.width
        initializer = nn.initializers.normal(width**-0.5)
        self.patch_embedding = nn.Dense(width, use_bias=design.patch_bias, dtype=self.dtype)
        if design.rotary and config.registers:
            self.registers = self.param("registers", initializer, (config.registers, width))
        if design.class_token:
            self.class_token = self.param("class_token", initializer, (width,))
        if not design.rotary:
            positions = (config.grid**2 + design.class_token, width)
            self.position_embedding = self.param("position_embedding", initializer, positions)
            if config.registers:
                self.registers = self.param("registers", initializer, (config.registers, width))
        if design.pre_norm:
            self.pre_norm = nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype)
        frozen, trained = config.segments
        self.blocks = [
            *self._stack("frozen_blocks", frozen, 0.0, remat=False),
            *self._stack("trained_blocks", trained, config.dropout, remat=config.remat),
        ]
        self.norm = nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype)
        if design.pooling == "attention":
            self.pooling = AttentionPooling(config, self.dtype)
        if config.projection:
            self.projection = nn.Dense(config.projection, use_bias=False, dtype=self.dtype)

    def look(self, image: jax.Array, *, train: bool) -> Features:
        """Encodes `image uint8 [B, H, W, 3]`; all is normalised by the final LayerNorm."""
        return self.encode(self.embed(image), train=train)

    def encode(self, x: jax.Array, *, train: bool) -> Features:
        """Takes the tokens `x [B, N, D]` of `embed` or `embed_patches` through all that follows."""
        for index in range(len(self.blocks)):
            x = self.block(index, x, train=train)
        return self.read_out(x)

    def embed(self, image: jax.Array) -> jax.Array:
        """Maps `image uint8 [B, H, W, 3]` to the tokens `[B, N, D]` before the first block."""
        config = self.config
        return self.embed_patches(
            patches(config.preprocessing.normalize(image, self.dtype), config.patch)
        )

    def embed_patches(self, x: jax.Array) -> jax.Array:
        """Maps one vector for each patch, `x [B, P, C]` of any width, to tokens `[B, N, D]`.

        Learned positions are added; class token and registers stand before the patches.
        """
        config, design = self.config, self.config.design
        x = self.patch_embedding(x)
        if design.rotary and config.registers:
            x = _before(self.registers, x)
        if design.class_token:
            x = _before(self.class_token[None], x)
        if not design.rotary:
            x = x + self.position_embedding[None].astype(x.dtype)
            if config.registers:
                # They have no position, and stand behind the class token.
                x = jnp.concatenate([x[:, :1], _before(self.registers, x[:, 1:])], axis=1)
        return self.pre_norm(x) if design.pre_norm else x

    def block(self, index: int, x: jax.Array, *, train: bool) -> jax.Array:
        """Runs one block on the tokens `x [B, N, D]`; a scanned stack counts as one."""
        rotation = None
        if self.config.design.rotary:
            rotation = patch_rotation(
                self.config.grid, self.config.width // self.config.shape.heads
            )
        x, _ = self.blocks[index](x, rotation, train)
        return x

    def read_out(self, x: jax.Array) -> Features:
        """What the tower answers, given the tokens `x [B, N, D]` after the last block."""
        x = self.norm(x)
        pooled = self.pooling(x) if self.config.design.pooling == "attention" else x[:, 0]
        if self.config.projection:
            pooled = self.projection(pooled)
        return Features(pooled, x[:, self.config.prefix :])

    def _stack(self, name: str, depth: int, dropout: float, *, remat: bool) -> list[nn.Module]:
        """Consecutive blocks, one by one or as one scanned module; empty where there are none."""
        block = Block
        if remat:
            block = nn.remat(Block, prevent_cse=not self.config.scan, static_argnums=(3,))
        if not self.config.scan:
            return [
                block(self.config, dropout, self.dtype, name=f"{name}_{index:02d}")
                for index in range(depth)
            ]
        scanned = nn.scan(
            block,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,  # pyright: ignore[reportArgumentType]
            length=depth,
        )
        return [scanned(self.config, dropout, self.dtype, name=name)] if depth else []


def _before(learned: jax.Array, x: jax.Array) -> jax.Array:
    """Puts learned tokens `[T, D]` before the tokens `x [B, N, D]`."""
    learned = jnp.broadcast_to(learned.astype(x.dtype)[None], (x.shape[0], *learned.shape))
    return jnp.concatenate([learned, x], axis=1)
