"""Analytic FLOPs of the parts: two for each multiply-add of a matrix product, nothing else counted."""

from geosurge_jax.models.fusion import FusionConfig


def attention_flops(queries: int, context: int, width: int, rank: int = 0) -> int:
    """Projections, scores and weighted sum of one attention over `context` tokens."""
    keys_values = 2 * context * (rank or width) * width + context * rank * width
    return 2 * (2 * queries * width * width + keys_values + 2 * queries * context * width)


def mlp_flops(tokens: int, width: int, hidden: int, *, gated: bool = False) -> int:
    """Two linear layers over `tokens`, three where the hidden one is gated."""
    return (6 if gated else 4) * tokens * width * hidden


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
