"""Batch normalisation with the statistics of a trained model."""

import flax.linen as nn
import jax
import jax.numpy as jnp

# Matches the statistics of every FrozenBatchNorm of a tower; they are no weights and never trained.
STATISTICS_RULE = r"(.*/)?norm/(mean|variance)$"


class FrozenBatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) as one affine map by stored statistics.

    The statistics are parameters that no step changes, in training as in inference, as detectors are
    fine-tuned on pretrained networks (He et al. 2015, appendix A): nothing depends on the other photos of the
    batch or on how it is split, and there is no mutable state. Scale and bias are trained where their stage
    is. Modules name it `norm`, and their tower puts `STATISTICS_RULE` among its frozen rules.

    Attributes:
        epsilon: added to the variance.
        dtype: compute type; parameters are float32.
    """

    epsilon: float
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises `x [B, H, W, C]` by channel."""
        shape = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.param("mean", nn.initializers.zeros, shape)
        variance = self.param("variance", nn.initializers.ones, shape)
        factor = scale * jax.lax.rsqrt(variance + self.epsilon)
        offset = bias - mean * factor
        return (
            x * factor.astype(self.dtype)[None, None, None]
            + offset.astype(self.dtype)[None, None, None]
        )
