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
    """The tanh approximation of GELU (Hendrycks and Gimpel 2016, section 2), as SigLIP uses it."""
    return jax.nn.gelu(x, approximate=True)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": exact_gelu,
    "gelu_tanh": tanh_gelu,
    "quick_gelu": quick_gelu,
}


class Attention(nn.Module):
    """Multi-head attention of queries over a context; self-attention where both are the same.

    Attributes:
        heads: number of heads; must divide the queries' width.
        rank: width of a low-rank projection that keys and values share (multi-head latent attention);
            0 projects the context directly.
        dtype: compute type; parameters are float32.
    """

    heads: int
    rank: int = 0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, queries: jax.Array, context: jax.Array, mask: jax.Array | None = None
    ) -> jax.Array:
        """Attends `queries [B, N, D]` over `context [B, M, D']`.

        Args:
            queries: what attends.
            context: what is attended to.
            mask: boolean `[B or 1, 1, N, M]`, True where a query may attend; None attends everywhere.

        Returns:
            Array `[B, N, D]`.
        """
        width = queries.shape[-1]
        head_shape = (self.heads, width // self.heads)

        def project(name: str, x: jax.Array) -> jax.Array:
            return nn.DenseGeneral(head_shape, dtype=self.dtype, name=name)(x)

        if self.rank:
            context = nn.Dense(self.rank, use_bias=False, dtype=self.dtype, name="compress")(
                context
            )
        attended = jax.nn.dot_product_attention(
            project("query", queries), project("key", context), project("value", context), mask=mask
        )
        return nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name="out")(attended)


class Mlp(nn.Module):
    """Two linear layers with an activation between them.

    Attributes:
        hidden: width of the hidden layer.
        activation: a name in `ACTIVATIONS`.
        dtype: compute type; parameters are float32.
    """

    hidden: int
    activation: str = "gelu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `x [..., D]` to `[..., D]`."""
        hidden = ACTIVATIONS[self.activation](nn.Dense(self.hidden, dtype=self.dtype, name="up")(x))
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="down")(hidden)
