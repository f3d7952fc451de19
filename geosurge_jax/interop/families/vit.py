"""The original Vision Transformers (Dosovitskiy et al. 2021)."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.entries import with_defaults
from geosurge_jax.interop.families.image_processor import read_preprocessing, write_preprocessing
from geosurge_jax.interop.families.transformer import (
    BASE,
    Names,
    dimensions,
    expect,
    read_tower,
    tower_entries,
)
from geosurge_jax.interop.family import Family
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.models.vit_config import ViTConfig

NAMES = Names(
    patch="embeddings.patch_embeddings.projection",
    class_token="embeddings.cls_token",
    position="embeddings.position_embeddings",
    leading=(2, 1),
    block="encoder.layer.{}",
    attention=(
        "layernorm_before",
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
        "attention.output.dense",
    ),
    mlp=("layernorm_after", "intermediate.dense", "output.dense"),
    norm="layernorm",
)

# What files leave out where it is this.
DEFAULTS = {
    **BASE,
    "patch_size": 16,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> ViTConfig:
    """Our config of the tower in a ViT directory."""
    values = with_defaults(config, DEFAULTS)
    expect(values, qkv_bias=True)
    published = {"size": values["image_size"]}
    preprocessing = read_preprocessing(preprocessor or published, "ViTImageProcessor")
    return read_tower("vit", values, preprocessing)


def entries(config: ViTConfig) -> tuple[Entry, ...]:
    """The map of a tower."""
    return tower_entries(config, NAMES)


def write(config: ViTConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and preprocessor_config.json."""
    values = {
        "architectures": ["ViTModel"],
        "model_type": "vit",
        **dimensions(config),
        "intermediate_size": config.shape.mlp,
    }
    return values, write_preprocessing(config.preprocessing)


FAMILY = Family(
    name="vit",
    model_types=("vit",),
    prefixes=("", "vit."),
    read=read,
    entries=entries,
    ignored=(r"^classifier\.", r"^(vit\.)?pooler\."),
    write=write,
)
