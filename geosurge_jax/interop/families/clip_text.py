"""CLIP's text tower as Hugging Face stores it, alone or within a whole CLIP."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.clip import PROJECTION
from geosurge_jax.interop.families.entries import with_defaults
from geosurge_jax.interop.families.text import read_text, text_dimensions, text_entries
from geosurge_jax.interop.family import Family
from geosurge_jax.interop.weight_map import LINEAR, Entry
from geosurge_jax.models.text import TextConfig

# What transformers takes where a config.json is silent (CLIPTextConfig and CLIPConfig of 4.57).
DEFAULTS = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "hidden_size": 512,
    "num_hidden_layers": 12,
    "intermediate_size": 2048,
    "num_attention_heads": 8,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "eos_token_id": 49407,
}

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
        text = config.get("text_config") if older is None else older
    values = with_defaults(text, DEFAULTS)
    end_token = values["eos_token_id"]
    return read_text(
        "clip",
        values,
        projection=with_defaults(config, PROJECTION)["projection_dim"],
        end_token=None if end_token == LEGACY_END_TOKEN else end_token,
    )


def entries(config: TextConfig) -> tuple[Entry, ...]:
    """Map of the tower; the projection stands beside `text_model`, not in it."""
    projection = Entry("projection/kernel", "text_projection.weight", LINEAR)
    return (*text_entries(config), projection)


def write(config: TextConfig) -> tuple[dict[str, Any], None]:
    """config.json of a CLIPTextModelWithProjection."""
    return {
        "architectures": ["CLIPTextModelWithProjection"],
        "model_type": "clip_text_model",
        **text_dimensions(config),
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
