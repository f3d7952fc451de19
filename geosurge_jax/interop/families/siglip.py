"""SigLIP's image towers (Zhai et al. 2023); SigLIP 2 (Tschannen et al. 2025) at fixed resolutions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from geosurge_jax.interop.families import clip
from geosurge_jax.interop.families.entries import with_defaults
from geosurge_jax.interop.families.image_processor import read_preprocessing, write_preprocessing
from geosurge_jax.interop.families.transformer import (
    BASE,
    affine,
    attention,
    dimensions,
    fused_rows,
    linear,
    read_tower,
    tower_entries,
)
from geosurge_jax.interop.family import Family
from geosurge_jax.interop.weight_map import Entry, leading_ones
from geosurge_jax.models.vit_config import ViTConfig

NAMES = replace(clip.NAMES, class_token="", pre_norm="")

# What files leave out where it is this.
DEFAULTS = {
    **BASE,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> ViTConfig:
    """Our config of the image tower in a SigLIP directory."""
    whole = config["model_type"] == "siglip"
    vision = with_defaults(config.get("vision_config") if whole else config, DEFAULTS)
    published = {"size": vision["image_size"]}
    preprocessing = read_preprocessing(preprocessor or published, "SiglipImageProcessor")
    return read_tower("siglip", vision, preprocessing)


def entries(config: ViTConfig) -> tuple[Entry, ...]:
    """The map of a tower; its pooling keeps queries, keys and values in one tensor, as torch does."""
    pooling = attention(
        "pooling/attention",
        ("query", "key", "value", "head.attention.out_proj"),
        config.shape.heads,
    )
    kernels, biases, out = pooling[0:6:2], pooling[1:6:2], pooling[6:]
    return (
        *tower_entries(config, NAMES),
        Entry("pooling/probe", "head.probe", leading_ones(2)),
        *fused_rows(kernels, "head.attention.in_proj_weight", config.width),
        *fused_rows(biases, "head.attention.in_proj_bias", config.width),
        *out,
        *affine("pooling/norm", "head.layernorm"),
        *linear("pooling/mlp/up", "head.mlp.fc1"),
        *linear("pooling/mlp/down", "head.mlp.fc2"),
    )


def write(config: ViTConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and preprocessor_config.json."""
    values = {
        "architectures": ["SiglipVisionModel"],
        "model_type": "siglip_vision_model",
        **dimensions(config),
        "intermediate_size": config.shape.mlp,
    }
    return values, write_preprocessing(config.preprocessing)


FAMILY = Family(
    name="siglip",
    model_types=("siglip", "siglip_vision_model"),
    prefixes=("vision_model.", ""),
    read=read,
    entries=entries,
    ignored=(r"^text_model\.", r"^logit_(scale|bias)$", r"position_ids$"),
    write=write,
)
