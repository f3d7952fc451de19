"""Attention and MLP, the parts that every tower here is made of."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp


def quick_gelu(x: jax.Array) -> jax.Array:
    """The sigmoid approximation of GELU that CLIP was trained with: `x * sigmoid(1.702 x)`."""
    return x * jax.nn.sigmoid(1.702 * x)


def exact_gelu(x: jax.Array) -> jax.Array:
    """GELU by the error function (Hendrycks and Gimpel 2016), as the ViT papers use it."""
    return jax.nn.gelu(x, approximate=False)


def tanh_gelu(x: jax.Array) -> jax.Array:
    """The tanh approximation of GELU (Hendrycks and Gimpel 2016), as SigLIP was trained with it."""
    return jax.nn.gelu(x, approximate=True)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": exact_gelu,
    "gelu_tanh": tanh_gelu,
    "quick_gelu": quick_gelu,
    "silu": jax.nn.silu,
}

# Cosine and sine [T, K] by which queries and keys of the last T tokens are rotated.
Rotation = tuple[jax.Array, jax.Array]


def rotate(x: jax.Array, rotation: Rotation) -> jax.Array:
    """Rotary position embedding (Su et al. 2021): turns pairs (i, i + K / 2) of the last T tokens.

    Args:
        x: queries or keys `[B, N, H, K]`.
        rotation: cosine and sine `[T, K]`, T at most N.

    Returns:
        Array `[B, N, H, K]`; the first N - T tokens are as they were.
    """
    cosine, sine = (part[None, :, None].astype(x.dtype) for part in rotation)
    fixed, turned = jnp.split(x, [x.shape[1] - cosine.shape[1]], axis=1)
    low, high = jnp.split(turned, 2, axis=-1)
    turned = turned * cosine + jnp.concatenate([-high, low], axis=-1) * sine
    return jnp.concatenate([fixed, turned], axis=1)


class Attention(nn.Module):
    """Multi-head attention of queries over a context; self-attention where both are the same.

    Attributes:
        heads: number of heads; must divide the queries' width.
        rank: width of a low-rank projection that keys and values share (multi-head latent attention);
            0 projects the context directly.
        key_bias: whether keys have a bias, which the softmax cancels (DINOv3 has none).
        dtype: compute type; parameters are float32.
    """

    heads: int
    rank: int = 0
    key_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        queries: jax.Array,
        context: jax.Array,
        mask: jax.Array | None = None,
        rotation: Rotation | None = None,
    ) -> jax.Array:
        """Attends `queries [B, N, D]` over `context [B, M, D']`.

        Args:
            queries: what asks.
            context: what is asked.
            mask: bool `[B or 1, 1, N, M]`, True where a query sees a token of the context; None for all.
            rotation: rotary position embedding, see `rotate`; None for none.

        Returns:
            Array `[B, N, D]`.
        """
        width = queries.shape[-1]
        head_shape = (self.heads, width // self.heads)

        def project(name: str, x: jax.Array, bias: bool = True) -> jax.Array:
            return nn.DenseGeneral(head_shape, use_bias=bias, dtype=self.dtype, name=name)(x)

        if self.rank:
            context = nn.Dense(self.rank, use_bias=False, dtype=self.dtype, name="compress")(
                context
            )
        query, key = project("query", queries), project("key", context, self.key_bias)
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        attended = jax.nn.dot_product_attention(query, key, project("value", context), mask=mask)
        return nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name="out")(attended)


class Mlp(nn.Module):
    """Two linear layers with an activation between them.

    Attributes:
        hidden: width of the hidden layer.
        activation: a name in `ACTIVATIONS`.
        gated: multiply the hidden layer by a second one without activation (SwiGLU, Shazeer 2020).
        dtype: compute type; parameters are float32.
    """

    hidden: int
    activation: str = "gelu"
    gated: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [..., D]` to `[..., D]`."""
        hidden = nn.Dense(self.hidden, dtype=self.dtype, name="up")(x)
        if self.gated:
            gate = nn.Dense(self.hidden, dtype=self.dtype, name="gate")(x)
            hidden = ACTIVATIONS[self.activation](gate) * hidden
        else:
            hidden = ACTIVATIONS[self.activation](hidden)
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="down")(hidden)
