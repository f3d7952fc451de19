"""Learned queries over an image's tokens, one for each pair of hierarchy and scene (GeoDecoder).

Clark et al., CVPR 2023: in the first layers all queries attend to each other; in the layers that follow a
query attends to those of its own hierarchy alone, and each hierarchy has a feed-forward of its own. The
first channel of the decoded queries, averaged over the hierarchies, is the confidence in a scene; the
queries of one scene, one a hierarchy, go on. Numbers of layers, where norms stand and whether the later
layers look at the image again were not found: here every layer is pre-LayerNorm and does.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.flops import attention_flops, mlp_flops
from geosurge_jax.models.layers import Attention, Mlp, exact_gelu
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    replicated,
    transformer_rules,
)


@dataclass(frozen=True)
class QueryDecoderConfig:
    """Choices of the decoder.

    Attributes:
        shared_layers: N, layers in which all queries attend to each other.
        separate_layers: E, layers that keep the hierarchies apart.
        width: D of a query (development code: 768).
        heads: attention heads (development code: 12).
        mlp_width: hidden width of the feed-forward (development code: 1024).
        dropout: rate after attention and feed-forward.
    """

    shared_layers: int
    separate_layers: int
    width: int
    heads: int
    mlp_width: int
    dropout: float

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        for name, value, least in (
            ("shared_layers", self.shared_layers, 1),
            ("separate_layers", self.separate_layers, 0),
            ("mlp_width", self.mlp_width, 1),
            ("heads", self.heads, 1),
        ):
            if value < least:
                raise ValueError(f"config.system.decoder.{name}={value}: expected {least} or more")
        if self.width < 1 or self.width % self.heads:
            raise ValueError(
                f"config.system.decoder.width={self.width}: expected a positive multiple of "
                f"config.system.decoder.heads={self.heads}"
            )

    @property
    def partition_rules(self) -> PartitionRules:
        """How the decoder's parameters lie on the mesh; paths relative to the decoder."""
        separate = (
            (r"separate_\d+/mlp/up_kernel$", PartitionSpec(None, None, STORAGE_AXIS)),
            (r"separate_\d+/mlp/down_kernel$", PartitionSpec(None, STORAGE_AXIS)),
        )
        return (
            *(separate if self.separate_layers else ()),
            *transformer_rules(r"\w+_\d+", stacked=False),
            replicated("(.*/)?((up_|down_)?bias|scale|queries)$"),
        )

    def flops(self, levels: int, scenes: int, tokens: int, token_width: int) -> int:
        """Forward FLOPs for one photo of `tokens` tokens of `token_width`."""
        queries, width = levels * scenes, self.width
        cross = attention_flops(queries, tokens, width)
        cross += 4 * tokens * width * (token_width - width)
        feed_forward = mlp_flops(queries, width, self.mlp_width)
        shared = cross + attention_flops(queries, queries, width) + feed_forward
        separate = cross + levels * attention_flops(scenes, scenes, width) + feed_forward
        return self.shared_layers * shared + self.separate_layers * separate


class LevelMlp(nn.Module):
    """A feed-forward of its own for each hierarchy: `layers.Mlp` with a leading axis.

    Attributes:
        hidden: width of the hidden layer.
        dtype: compute type; parameters are float32.
    """

    hidden: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [B, L, S, D]` to the same shape."""
        levels, width = x.shape[1], x.shape[-1]

        def linear(name: str, x: jax.Array, size: tuple[int, int]) -> jax.Array:
            initializer = nn.initializers.lecun_normal(batch_axis=0)
            kernel = self.param(f"{name}_kernel", initializer, (levels, *size))
            bias = self.param(f"{name}_bias", nn.initializers.zeros, (levels, size[1]))
            x = jnp.einsum("blsd,ldf->blsf", x, kernel.astype(self.dtype))
            return constrain_batch(x + bias[None, :, None].astype(self.dtype))

        hidden = exact_gelu(linear("up", constrain_batch(x), (width, self.hidden)))
        return linear("down", hidden, (self.hidden, width))


class DecoderLayer(nn.Module):
    """Cross-attention to the image, self-attention among queries, feed-forward.

    Attributes:
        config: the decoder's.
        separate: whether the hierarchies are kept apart.
        dtype: compute type; parameters are float32.
    """

    config: QueryDecoderConfig
    separate: bool
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, queries: jax.Array, tokens: jax.Array, *, train: bool) -> jax.Array:
        """Maps `queries [B, L, S, D]`, given `tokens [B, P, D']`, to the same shape."""
        config = self.config
        batch, levels, scenes, width = queries.shape

        def norm(name: str, x: jax.Array) -> jax.Array:
            return nn.LayerNorm(dtype=self.dtype, name=name)(x)

        def drop(x: jax.Array) -> jax.Array:
            return nn.Dropout(config.dropout, deterministic=not train)(x)

        def attention(name: str, x: jax.Array, context: jax.Array) -> jax.Array:
            return drop(Attention(config.heads, dtype=self.dtype, name=name)(x, context))

        x = constrain_batch(queries).reshape(batch, levels * scenes, width)
        x = x + attention("cross_attention", norm("cross_norm", x), tokens)
        # What attends to each other stands along one axis: all queries, or those of one hierarchy.
        groups = batch * levels if self.separate else batch
        x = constrain_batch(x).reshape(groups, -1, width)
        h = norm("self_norm", x)
        x = x + attention("self_attention", h, h)
        x = constrain_batch(x.reshape(batch, levels, scenes, width))
        feed_forward = LevelMlp if self.separate else Mlp
        mlp = feed_forward(config.mlp_width, dtype=self.dtype, name="mlp")
        return x + drop(mlp(norm("mlp_norm", x)))


class QueryDecoder(nn.Module):
    """Image tokens to one decoded query for each hierarchy and scene.

    Attributes:
        config: the choices above.
        levels: L, hierarchies.
        scenes: S, scenes.
        dtype: compute type; parameters are float32.
    """

    config: QueryDecoderConfig
    levels: int
    scenes: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array, *, train: bool) -> jax.Array:
        """Decodes `tokens [B, P, D']` into normalised queries `[B, L, S, D]`."""
        config = self.config
        shape = (self.levels, self.scenes, config.width)
        learned = self.param("queries", nn.initializers.normal(1.0), shape).astype(self.dtype)
        x = jnp.broadcast_to(learned[None], (tokens.shape[0], *shape))
        for kind, layers in (
            ("shared", config.shared_layers),
            ("separate", config.separate_layers),
        ):
            for index in range(layers):
                layer = DecoderLayer(
                    config, kind == "separate", self.dtype, name=f"{kind}_{index:02d}"
                )
                x = layer(x, tokens, train=train)
        return nn.LayerNorm(dtype=self.dtype, name="norm")(constrain_batch(x))


def scene_confidences(queries: jax.Array) -> jax.Array:
    """Confidence in each scene: channel 0 of `queries [B, L, S, D]`, averaged over the hierarchies.

    Returns:
        float32 `[B, S]`.
    """
    return jnp.mean(queries[..., 0].astype(jnp.float32), axis=1)


def queries_of_scene(queries: jax.Array, weights: jax.Array) -> jax.Array:
    """The queries of one scene for each photo.

    Args:
        queries: `[B, L, S, D]`.
        weights: `[B, S]`, 1 for the scene and 0 for the others.

    Returns:
        `[B, L, D]`.
    """
    return jnp.einsum("blsd,bs->bld", queries, weights.astype(queries.dtype))


def straight_through(confidences: jax.Array) -> jax.Array:
    """Marks the scene of the highest confidence; the gradient is that of the softmax (Bengio et al. 2013).

    Args:
        confidences: float32 `[B, S]`.

    Returns:
        float32 `[B, S]`, 1 for one scene of each photo and 0 for the others up to rounding.
    """
    soft = jax.nn.softmax(confidences, axis=-1)
    hard = jax.nn.one_hot(jnp.argmax(confidences, axis=-1), confidences.shape[-1])
    return hard + soft - jax.lax.stop_gradient(soft)
