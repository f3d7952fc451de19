"""Fusion of image tokens and semantic tokens by latent cross-attention.

GeoSURGE's semantic tokens query RGB tokens by "latent multi-headed cross-attention", three blocks in
series, and the class token of the last block becomes the visual vector. What "latent" means is not
published; three readings stand here by name. In all of them the query stream is the tower's class token
followed by the semantic tokens, and the context is the RGB tokens followed by the query stream: with
RGB tokens alone as context no path would lead from the semantic map to the class token.
"""

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

FUSION_KINDS = ("latent", "low_rank", "direct", "none")


@dataclass(frozen=True)
class FusionConfig:
    """Choices of the fusion.

    Attributes:
        kind: "latent" (N learned latents gather the context, the queries attend to the latents; cost
            grows with S + P), "low_rank" (keys and values through a shared low-rank projection),
            "direct" (plain cross-attention, S * P), or "none" (the tower's class token as it is).
        blocks: blocks in series (published: 3).
        latents: N, for "latent".
        rank: width of the shared projection, for "low_rank".
        heads: attention heads.
        mlp_ratio: hidden width of the MLP over D.
        semantic_subgrid: see `semantic.SemanticTokens.subgrid`.
        dropout: rate after attention and MLP.
    """

    kind: str
    blocks: int
    latents: int
    rank: int
    heads: int
    mlp_ratio: int
    semantic_subgrid: int
    dropout: float

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        if self.kind not in FUSION_KINDS:
            raise ValueError(
                f"config.system.fusion.kind={self.kind!r}: expected one of {FUSION_KINDS}"
            )
        if self.kind != "none" and self.blocks < 1:
            raise ValueError(
                f"config.system.fusion.blocks={self.blocks}: expected at least 1, or kind='none'"
            )

    @property
    def partition_rules(self) -> PartitionRules:
        """How the fusion's parameters lie on the mesh; paths relative to the fusion."""
        compress = (r"block_\d+/attention/compress/kernel$", PartitionSpec(STORAGE_AXIS))
        return (
            *((compress,) if self.kind == "low_rank" else ()),
            *transformer_rules(r"block_\d+", stacked=False),
            replicated(r"block_\d+/(.*/)?(bias|scale|latents)$"),
        )


class FusionBlock(nn.Module):
    """One block: cross-attention of the query stream, then an MLP, each with LayerNorm and residual."""

    config: FusionConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, stream: jax.Array, rgb: jax.Array, *, train: bool) -> jax.Array:
        """Maps the query stream `[B, 1 + S, D]`, given RGB tokens `[B, 1 + P, D]`, to `[B, 1 + S, D]`."""
        config, width = self.config, stream.shape[-1]

        def norm(name: str) -> nn.LayerNorm:
            return nn.LayerNorm(dtype=self.dtype, name=name)

        def attention(name: str, rank: int = 0) -> Attention:
            return Attention(config.heads, rank=rank, dtype=self.dtype, name=name)

        def drop(y: jax.Array) -> jax.Array:
            return nn.Dropout(config.dropout, deterministic=not train)(y)

        stream = constrain_batch(stream)
        queries = norm("query_norm")(stream)
        context = jnp.concatenate([norm("rgb_norm")(rgb), queries], axis=1)
        if config.kind == "latent":
            start = self.param("latents", nn.initializers.normal(0.02), (config.latents, width))
            latents = jnp.broadcast_to(
                start.astype(stream.dtype), (stream.shape[0], config.latents, width)
            )
            latents = latents + attention("gather")(norm("latent_norm")(latents), context)
            context = norm("gathered_norm")(latents)
        rank = config.rank if config.kind == "low_rank" else 0
        stream = stream + drop(attention("attention", rank)(queries, context))
        hidden = Mlp(config.mlp_ratio * width, dtype=self.dtype, name="mlp")
        return stream + drop(hidden(norm("mlp_norm")(stream)))


class Fusion(nn.Module):
    """Blocks in series over the class token and the semantic tokens."""

    config: FusionConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, rgb: jax.Array, semantic: jax.Array, *, train: bool) -> jax.Array:
        """Fuses `rgb [B, 1 + P, D]` (class token first) with `semantic [B, S, D]`.

        Returns:
            The class token `[B, D]` after the last block.
        """
        stream = jnp.concatenate([rgb[:, :1], semantic], axis=1)
        for index in range(self.config.blocks):
            stream = FusionBlock(self.config, self.dtype, name=f"block_{index}")(
                stream, rgb, train=train
            )
        return stream[:, 0]
