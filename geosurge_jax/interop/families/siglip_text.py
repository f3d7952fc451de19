"""SigLIP's and SigLIP 2's text tower as Hugging Face stores it, alone or within a whole model.

The two differ in vocabulary and tokenizer, not in the tower.
"""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.clip_layers import (
    activation_to_store,
    linear_entries,
    stored_activation,
    stored_value,
    text_entries,
)
from geosurge_jax.interop.family import Family
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.models.text import TextConfig

# What transformers takes where a config.json is silent (SiglipTextConfig of 4.57), and the projection is
# as wide as the tower.
VOCABULARY = 32000
CONTEXT = 64
WIDTH = 768
DEPTH = 12
MLP = 3072
HEADS = 12
ACTIVATION = "gelu_pytorch_tanh"
NORM_EPSILON = 1e-6


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> TextConfig:
    """Reads the config.json of a whole SigLIP or of its text tower."""
    del preprocessor
    text = config
    if config.get("model_type") in ("siglip", "siglip2"):
        text = config.get("text_config") or {}
    width = stored_value(text, "hidden_size", WIDTH)
    return TextConfig(
        kind="siglip",
        vocabulary=stored_value(text, "vocab_size", VOCABULARY),
        context=stored_value(text, "max_position_embeddings", CONTEXT),
        width=width,
        depth=stored_value(text, "num_hidden_layers", DEPTH),
        mlp=stored_value(text, "intermediate_size", MLP),
        heads=stored_value(text, "num_attention_heads", HEADS),
        activation=stored_activation(text, ACTIVATION),
        norm_epsilon=float(stored_value(text, "layer_norm_eps", NORM_EPSILON)),
        projection=stored_value(text, "projection_size", width),
        end_token=None,
    )


def entries(config: TextConfig) -> tuple[Entry, ...]:
    """Map of the tower."""
    projection = linear_entries("projection", "text_model.head")
    return (*text_entries(config.depth, config.heads), *projection)


def write(config: TextConfig) -> tuple[dict[str, Any], None]:
    """config.json of a SiglipTextModel."""
    return {
        "architectures": ["SiglipTextModel"],
        "model_type": "siglip_text_model",
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "intermediate_size": config.mlp,
        "num_attention_heads": config.heads,
        "hidden_act": activation_to_store(config.activation),
        "layer_norm_eps": config.norm_epsilon,
        "projection_size": config.projection,
    }, None


FAMILY = Family(
    name="siglip_text",
    model_types=("siglip", "siglip_text_model", "siglip2", "siglip2_text_model"),
    prefixes=("",),
    read=read,
    entries=entries,
    ignored=(
        r"^vision_model\.",
        r"^logit_(scale|bias)$",
        r"^text_model\.embeddings\.position_ids$",
    ),
    write=write,
)
