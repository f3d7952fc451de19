"""Text towers of CLIP (Radford et al. 2021, section 2.4) and SigLIP (Zhai et al. 2023, section 4).

They are transformers of the same pre-LayerNorm blocks and differ in what a token may see and in where the
sentence's vector is taken: CLIP's tokens see what is before them, and the vector is the end token's;
SigLIP's see all 64 positions, padding too, and the vector is the last position's.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.layers import ACTIVATIONS, Attention, Mlp
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    replicated,
    transformer_rules,
)

KINDS = ("clip", "siglip")
INITIAL_DEVIATION = 0.02  # of both embeddings; Radford et al. 2021


@dataclass(frozen=True)
class TextConfig:
    """Choices of one text tower.

    Attributes:
        kind: "clip" or "siglip".
        vocabulary: V, number of token ids.
        context: most tokens of a sentence (CLIP 77, SigLIP 64).
        width: D.
        depth: number of blocks.
        mlp: hidden width of the MLPs.
        heads: attention heads; divides `width`.
        activation: a name in `layers.ACTIVATIONS`.
        norm_epsilon: epsilon of every LayerNorm.
        projection: E, width of the sentence's vector.
        end_token: id whose first position gives CLIP's vector; None takes the position of the largest id,
            which is the end token's in CLIP's own vocabulary. SigLIP has no use for it: None.
    """

    kind: str
    vocabulary: int
    context: int
    width: int
    depth: int
    mlp: int
    heads: int
    activation: str
    norm_epsilon: float
    projection: int
    end_token: int | None

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the field."""
        for name, value, allowed in (
            ("kind", self.kind, KINDS),
            ("activation", self.activation, tuple(ACTIVATIONS)),
        ):
            if value not in allowed:
                raise ValueError(f"text tower: {name}={value!r}: expected one of {allowed}")
        for name in ("vocabulary", "context", "width", "depth", "mlp", "heads", "projection"):
            if vars(self)[name] < 1:
                raise ValueError(f"text tower: {name}={vars(self)[name]}: expected 1 or more")
        if self.width % self.heads:
            raise ValueError(
                f"text tower: width={self.width}: expected a multiple of heads={self.heads}"
            )
        if self.end_token is not None and self.kind == "siglip":
            raise ValueError(
                f"text tower: end_token={self.end_token}: expected None, as SigLIP's sentence vector is "
                "that of the last position"
            )

    @property
    def partition_rules(self) -> PartitionRules:
        """How the tower's parameters lie on the mesh; paths relative to the tower."""
        return (
            ("(token_embedding/embedding|projection/kernel)$", PartitionSpec(None, STORAGE_AXIS)),
            *transformer_rules(r"blocks_\d+", stacked=False),
            replicated("(.*/)?(bias|scale|position_embedding)$"),
        )


class TextBlock(nn.Module):
    """Pre-LayerNorm transformer block."""

    config: TextConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        """Maps tokens `x [B, N, D]` to the same shape; `mask [1, 1, N, N]` is True where a token may see."""
        config = self.config

        def norm(name: str) -> nn.LayerNorm:
            return nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype, name=name)

        x = constrain_batch(x)
        h = norm("attention_norm")(x)
        x = x + Attention(config.heads, dtype=self.dtype, name="attention")(h, h, mask)
        h = norm("mlp_norm")(x)
        return x + Mlp(config.mlp, config.activation, dtype=self.dtype, name="mlp")(h)


class TextTower(nn.Module):
    """Tokens of sentences to one vector each.

    Attributes:
        config: its choices.
        dtype: compute type; parameters are float32.
    """

    config: TextConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Encodes `tokens int32 [B, N]`, framed and padded as the tokenizer of the tower does.

        Returns:
            Vectors `[B, E]`, not normalised: what CLIP and SigLIP divide by its norm before they compare.

        Raises:
            ValueError: more tokens than the tower's context.
        """
        config, (_, length) = self.config, tokens.shape
        if length > config.context:
            raise ValueError(f"{length} tokens: expected at most {config.context}")
        initial = nn.initializers.normal(INITIAL_DEVIATION)
        x = nn.Embed(
            config.vocabulary,
            config.width,
            embedding_init=initial,
            dtype=self.dtype,
            name="token_embedding",
        )(tokens)
        position = self.param("position_embedding", initial, (config.context, config.width))
        x = x + position[None, :length].astype(x.dtype)
        mask = None
        if config.kind == "clip":
            mask = jnp.tril(jnp.ones((length, length), bool))[None, None]
        for index in range(config.depth):
            x = TextBlock(config, self.dtype, name=f"blocks_{index:02d}")(x, mask)
        x = nn.LayerNorm(epsilon=config.norm_epsilon, dtype=self.dtype, name="norm")(x)
        return nn.Dense(
            config.projection,
            use_bias=config.kind == "siglip",
            dtype=self.dtype,
            name="projection",
        )(self._sentence(x, tokens))

    def _sentence(self, x: jax.Array, tokens: jax.Array) -> jax.Array:
        """The one of each sentence's tokens `x [B, N, D]` that stands for it: `[B, D]`."""
        if self.config.kind == "siglip":
            return x[:, -1]
        end = self.config.end_token
        position = jnp.argmax(tokens if end is None else tokens == end, axis=1)
        return jnp.take_along_axis(x, position[:, None, None], axis=1)[:, 0]
