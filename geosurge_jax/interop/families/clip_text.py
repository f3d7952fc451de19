"""CLIP's text tower as Hugging Face stores it, alone or within a whole CLIP."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.clip_layers import (
    activation_to_store,
    stored_activation,
    stored_value,
    text_entries,
)
from geosurge_jax.interop.family import Family
from geosurge_jax.interop.weight_map import LINEAR, Entry
from geosurge_jax.models.text import TextConfig

# What transformers takes where a config.json is silent (CLIPTextConfig and CLIPConfig of 4.57).
VOCABULARY = 49408
CONTEXT = 77
WIDTH = 512
DEPTH = 12
MLP = 2048
HEADS = 8
ACTIVATION = "quick_gelu"
NORM_EPSILON = 1e-5
PROJECTION = 512
END_TOKEN = 49407

# The files of OpenAI's models name 2 as their end token, which it is not; transformers reads it as a sign
# that the sentence's vector is taken at the largest id.
LEGACY_END_TOKEN = 2


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> TextConfig:
    """Reads the config.json of a whole CLIP or of its text tower.

    A whole CLIP may have its text tower described twice. Then `text_config_dict` wins, and what it does not
    name has its default whatever `text_config` says; transformers does the same.
    """
    del preprocessor
    text = config
    if config.get("model_type") == "clip":
        older = config.get("text_config_dict")
        text = (config.get("text_config") or {}) if older is None else older
    end_token = stored_value(text, "eos_token_id", END_TOKEN)
    return TextConfig(
        kind="clip",
        vocabulary=stored_value(text, "vocab_size", VOCABULARY),
        context=stored_value(text, "max_position_embeddings", CONTEXT),
        width=stored_value(text, "hidden_size", WIDTH),
        depth=stored_value(text, "num_hidden_layers", DEPTH),
        mlp=stored_value(text, "intermediate_size", MLP),
        heads=stored_value(text, "num_attention_heads", HEADS),
        activation=stored_activation(text, ACTIVATION),
        norm_epsilon=float(stored_value(text, "layer_norm_eps", NORM_EPSILON)),
        projection=stored_value(config, "projection_dim", PROJECTION),
        end_token=None if end_token == LEGACY_END_TOKEN else end_token,
    )


def entries(config: TextConfig) -> tuple[Entry, ...]:
    """Map of the tower; the projection stands beside `text_model`, not in it."""
    projection = Entry("projection/kernel", "text_projection.weight", LINEAR)
    return (*text_entries(config.depth, config.heads), projection)


def write(config: TextConfig) -> tuple[dict[str, Any], None]:
    """config.json of a CLIPTextModelWithProjection."""
    return {
        "architectures": ["CLIPTextModelWithProjection"],
        "model_type": "clip_text_model",
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "intermediate_size": config.mlp,
        "num_attention_heads": config.heads,
        "hidden_act": activation_to_store(config.activation),
        "layer_norm_eps": config.norm_epsilon,
        "projection_dim": config.projection,
        "eos_token_id": LEGACY_END_TOKEN if config.end_token is None else config.end_token,
    }, None


FAMILY = Family(
    name="clip_text",
    model_types=("clip", "clip_text_model"),
    prefixes=("",),
    read=read,
    entries=entries,
    ignored=(
        r"^vision_model\.",
        r"^visual_projection\.",
        r"^logit_scale$",
        r"^text_model\.embeddings\.position_ids$",
    ),
    write=write,
)
