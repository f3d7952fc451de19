"""Vision Transformer (Dosovitskiy et al. 2021) in the designs of `VIT_DESIGNS`."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from geosurge_jax.models.layers import Attention, Mlp, Rotation
from geosurge_jax.models.rotary import patch_rotation
from geosurge_jax.models.sharding import constrain_batch
from geosurge_jax.models.tower import Features
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
    train: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, rotation: Rotation | None) -> tuple[jax.Array, None]:
        """Maps tokens `x [B, N, D]` to the same shape; `rotation` is of the patches, or None."""
        config, width = self.config, x.shape[-1]

        def norm(name: str) -> nn.LayerNorm:
            return nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype, name=name)

        def branch(y: jax.Array, scale: str) -> jax.Array:
            if config.design.layer_scale:
                factor = self.param(scale, nn.initializers.ones, (width,))
                y = y * factor[None, None].astype(y.dtype)
            return nn.Dropout(self.dropout, deterministic=not self.train)(y)

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


class ViT(nn.Module):
    """Image tower.

    The blocks stand in two stacks, `frozen_blocks` and `trained_blocks`, so that a path rule can name
    either and a scanned stack never mixes the two.
    """

    config: ViTConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> Features:
        """Encodes `image uint8 [B, H, W, 3]`; all is normalised by the final LayerNorm."""
        config, design = self.config, self.config.design
        x = self._embed(image)
        if design.pre_norm:
            x = nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype, name="pre_norm")(x)
        rotation = None
        if design.rotary:
            rotation = patch_rotation(config.grid, config.width // config.shape.heads)
        frozen, trained = config.segments
        x = self._stack("frozen_blocks", x, rotation, frozen, 0.0, remat=False, train=False)
        x = self._stack(
            "trained_blocks", x, rotation, trained, config.dropout, remat=config.remat, train=train
        )
        x = nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype, name="norm")(x)
        if design.pooling == "attention":
            pooled = AttentionPooling(config, self.dtype, name="pooling")(x)
        else:
            pooled = x[:, 0]
        if config.projection:
            pooled = nn.Dense(
                config.projection, use_bias=False, dtype=self.dtype, name="projection"
            )(pooled)
        return Features(pooled, x[:, config.prefix :])

    def _embed(self, image: jax.Array) -> jax.Array:
        """Pixels to tokens with learned positions: class token, registers, patches."""
        config, design, width = self.config, self.config.design, self.config.width
        x = patches(config.preprocessing.normalize(image, self.dtype), config.patch)
        x = nn.Dense(width, use_bias=design.patch_bias, dtype=self.dtype, name="patch_embedding")(x)
        initializer = nn.initializers.normal(width**-0.5)

        def before(name: str, count: int, x: jax.Array) -> jax.Array:
            shape = (width,) if name == "class_token" else (count, width)
            learned = self.param(name, initializer, shape).astype(x.dtype)
            learned = jnp.broadcast_to(learned.reshape(count, width), (x.shape[0], count, width))
            return jnp.concatenate([learned, x], axis=1)

        if design.rotary and config.registers:
            x = before("registers", config.registers, x)
        if design.class_token:
            x = before("class_token", 1, x)
        if design.rotary:
            return x
        positions = (config.grid**2 + design.class_token, width)
        position = self.param("position_embedding", initializer, positions)
        x = x + position[None].astype(x.dtype)
        if config.registers:
            # They have no position, and stand behind the class token.
            first, rest = x[:, :1], x[:, 1:]
            x = jnp.concatenate([first, before("registers", config.registers, rest)], axis=1)
        return x

    def _stack(
        self,
        name: str,
        x: jax.Array,
        rotation: Rotation | None,
        depth: int,
        dropout: float,
        *,
        remat: bool,
        train: bool,
    ) -> jax.Array:
        if not depth:
            return x
        block = nn.remat(Block, prevent_cse=not self.config.scan) if remat else Block
        if not self.config.scan:
            for index in range(depth):
                one = block(self.config, dropout, train, self.dtype, name=f"{name}_{index:02d}")
                x, _ = one(x, rotation)
            return x
        scanned = nn.scan(
            block,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,  # pyright: ignore[reportArgumentType]
            length=depth,
        )
        x, _ = scanned(self.config, dropout, train, self.dtype, name=name)(x, rotation)
        return x
