"""SigLIP's and SigLIP 2's text tower as Hugging Face stores it, alone or within a whole model.

The two differ in vocabulary and tokenizer, not in the tower.
"""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.entries import with_defaults
from geosurge_jax.interop.families.text import read_text, text_dimensions, text_entries
from geosurge_jax.interop.families.transformer import linear
from geosurge_jax.interop.family import Family
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.models.text import TextConfig

# What transformers takes where a config.json is silent (SiglipTextConfig of 4.57), and the projection is
# as wide as the tower.
DEFAULTS = {
    "vocab_size": 32000,
    "max_position_embeddings": 64,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> TextConfig:
    """Reads the config.json of a whole SigLIP or of its text tower."""
    del preprocessor
    text = config
    if config.get("model_type") in ("siglip", "siglip2"):
        text = config.get("text_config")
    values = with_defaults(text, DEFAULTS)
    width = values["hidden_size"]
    return read_text(
        "siglip",
        values,
        projection=with_defaults(text, {"projection_size": width})["projection_size"],
        end_token=None,
    )


def entries(config: TextConfig) -> tuple[Entry, ...]:
    """Map of the tower."""
    projection = linear("projection", "text_model.head")
    return (*text_entries(config), *projection)


def write(config: TextConfig) -> tuple[dict[str, Any], None]:
    """config.json of a SiglipTextModel."""
    return {
        "architectures": ["SiglipTextModel"],
        "model_type": "siglip_text_model",
        **text_dimensions(config),
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
