"""Analytic FLOPs of the parts: two for each multiply-add of a matrix product, nothing else counted."""

from geosurge_jax.models.fusion import FusionConfig
from geosurge_jax.models.vit import ViTConfig


def attention_flops(queries: int, context: int, width: int, rank: int = 0) -> int:
    """Projections, scores and weighted sum of one attention over `context` tokens."""
    keys_values = 2 * context * (rank or width) * width + context * rank * width
    return 2 * (2 * queries * width * width + keys_values + 2 * queries * context * width)


def mlp_flops(tokens: int, width: int, hidden: int) -> int:
    """Two linear layers over `tokens`."""
    return 4 * tokens * width * hidden


def vit_flops(config: ViTConfig) -> tuple[int, int]:
    """Forward FLOPs of a tower for one photo: (frozen part, trained part)."""
    shape, tokens = config.shape, config.grid**2 + 1
    block = attention_flops(tokens, tokens, shape.width) + mlp_flops(tokens, shape.width, shape.mlp)
    embedding = 2 * config.grid**2 * config.patch**2 * 3 * shape.width
    frozen, trained = config.segments
    if config.trained_blocks < 0:
        return 0, embedding + trained * block
    return embedding + frozen * block, trained * block


def fusion_flops(config: FusionConfig, patches: int, width: int, classes: int) -> int:
    """Forward FLOPs of the semantic tokens and the fusion blocks for one photo."""
    if config.kind == "none":
        return 0
    queries, context = patches + 1, 2 * patches + 2
    if config.kind == "latent":
        attention = attention_flops(config.latents, context, width) + attention_flops(
            queries, config.latents, width
        )
    else:
        rank = config.rank if config.kind == "low_rank" else 0
        attention = attention_flops(queries, context, width, rank)
    block = attention + mlp_flops(queries, width, config.mlp_ratio * width)
    projection = 2 * patches * config.semantic_subgrid**2 * classes * width
    return projection + config.blocks * block
