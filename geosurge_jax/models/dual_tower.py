"""Two ViT in lockstep that exchange their class tokens (TransLocator: Pramanick et al., ECCV 2022).

After layer k branch i continues with `x_i = [g(sum_j f(cls_j)) || patches_i]`: the class tokens of all
branches, projected by f, are summed, and g brings the sum back. f and g are one pair for each layer, which
the branches share. At the end an attention over the branches weighs their class tokens, so that the last
layer has no exchange: after one the branches would end in the same class token, and the attention would
have nothing to choose from (the publication's formula is for any layer and does not say).
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.models.sharding import STORAGE_AXIS, PartitionRules, constrain_batch, replicated
from geosurge_jax.models.tower import Features
from geosurge_jax.models.vit import ViT

# LeakyReLU's slope where the released code leaves it at its library's default.
_LEAK = 0.01

TOKEN_FUSION_RULES: PartitionRules = (
    ("(project|restore)/kernel$", PartitionSpec(STORAGE_AXIS)),
    replicated("(project|restore)/bias$"),
)
BRANCH_ATTENTION_RULES: PartitionRules = (replicated("hidden/(kernel|bias)$|score/kernel$"),)


class ClassTokenFusion(nn.Module):
    """What the branches exchange after one layer: `g(sum_j f(cls_j))`, f and g linear.

    Attributes:
        dtype: compute type; parameters are float32.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, class_tokens: Sequence[jax.Array]) -> jax.Array:
        """Maps one class token `[B, D]` a branch to the one `[B, D]` that all continue with."""
        width = class_tokens[0].shape[-1]
        project = nn.Dense(width, dtype=self.dtype, name="project")
        total = sum(constrain_batch(project(constrain_batch(token))) for token in class_tokens)
        return constrain_batch(nn.Dense(width, dtype=self.dtype, name="restore")(total))


class BranchAttention(nn.Module):
    """Attentive fusion at the end: a weight for each branch, by a small network on its vector.

    Linear D to `hidden`, LeakyReLU, dropout, Linear to 1, softmax over the branches, weighted sum. The last
    bias is left out: it is the same for all branches, which the softmax does not see.

    Attributes:
        hidden: width of the hidden layer (released code: 8).
        dropout: rate after it (released code: 0.2).
        dtype: compute type of the products; the softmax is float32.
    """

    hidden: int
    dropout: float
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, branches: jax.Array, *, train: bool) -> jax.Array:
        """Maps vectors `branches [B, M, D]` of M branches to one `[B, D]`."""
        branches = constrain_batch(branches)
        x = constrain_batch(nn.Dense(self.hidden, dtype=self.dtype, name="hidden")(branches))
        # Leaky ReLU in its parts: jax2onnx cannot write `nn.leaky_relu` with a slope of its own.
        x = jnp.where(x >= 0, x, _LEAK * x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        score = nn.Dense(1, use_bias=False, dtype=self.dtype, name="score")(x)
        weight = jax.nn.softmax(score.astype(jnp.float32), axis=1)
        return jnp.sum(weight.astype(branches.dtype) * branches, axis=1)


def run_in_lockstep(
    towers: Sequence[ViT],
    tokens: Sequence[jax.Array],
    fusions: Sequence[ClassTokenFusion],
    *,
    train: bool,
) -> list[Features]:
    """Runs towers of the same depth and width block by block, exchanging class tokens between blocks.

    Args:
        towers: one a branch, not scanned, each with a class token.
        tokens: what they embed their inputs to, `[B, N, D]` each, class token first.
        fusions: one after each layer but the last.
        train: whether dropout is on.

    Returns:
        What each tower answers.
    """
    tokens = list(tokens)
    for layer in range(len(fusions) + 1):
        if layer:
            fused = fusions[layer - 1]([x[:, 0] for x in tokens])[:, None]
            tokens = [constrain_batch(jnp.concatenate([fused, x[:, 1:]], axis=1)) for x in tokens]
        tokens = [
            tower.block(layer, x, train=train) for tower, x in zip(towers, tokens, strict=True)
        ]
    return [tower.read_out(x) for tower, x in zip(towers, tokens, strict=True)]


def dual_tower_flops(width: int, exchanges: int, branches: int, hidden: int) -> int:
    """Forward FLOPs of the exchanges between the branches and of the attention at the end."""
    return 2 * exchanges * (branches + 1) * width**2 + 2 * branches * hidden * (width + 1)
