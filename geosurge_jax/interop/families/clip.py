"""CLIP's image towers (Radford et al. 2021) and what shares their layout: StreetCLIP, OpenCLIP on the hub."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.entries import with_defaults
from geosurge_jax.interop.families.image_processor import read_preprocessing, write_preprocessing
from geosurge_jax.interop.families.transformer import (
    BASE,
    Names,
    dimensions,
    read_tower,
    tower_entries,
)
from geosurge_jax.interop.family import Family
from geosurge_jax.interop.weight_map import LINEAR, Entry
from geosurge_jax.models.vit_config import ViTConfig

NAMES = Names(
    patch="embeddings.patch_embedding",
    class_token="embeddings.class_embedding",
    position="embeddings.position_embedding.weight",
    pre_norm="pre_layrnorm",  # misspelt in every file
    block="encoder.layers.{}",
    attention=(
        "layer_norm1", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
    ),
    mlp=("layer_norm2", "mlp.fc1", "mlp.fc2"),
    norm="post_layernorm",
)  # fmt: skip

# What files leave out where it is this.
DEFAULTS = {
    **BASE,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}

PROJECTION = {"projection_dim": 512}


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> ViTConfig:
    """Our config of the image tower in a CLIP directory, with the projection where the file has it."""
    whole = config["model_type"] == "clip"
    vision = with_defaults(config.get("vision_config") if whole else config, DEFAULTS)
    side = vision["image_size"]
    published = {"size": {"shortest_edge": side}, "crop_size": side}
    preprocessing = read_preprocessing(preprocessor or published, "CLIPImageProcessor")
    projection = with_defaults(config, PROJECTION)["projection_dim"] if whole else 0
    return read_tower("clip", vision, preprocessing, projection=projection)


def entries(config: ViTConfig) -> tuple[Entry, ...]:
    """The map of a tower."""
    projection = Entry("projection/kernel", "visual_projection.weight", LINEAR, prefixed=False)
    return (*tower_entries(config, NAMES), *((projection,) if config.projection else ()))


def write(config: ViTConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and preprocessor_config.json."""
    name = "CLIPVisionModelWithProjection" if config.projection else "CLIPVisionModel"
    values = {
        "architectures": [name],
        "model_type": "clip_vision_model",
        **dimensions(config),
        "intermediate_size": config.shape.mlp,
        **({"projection_dim": config.projection} if config.projection else PROJECTION),
    }
    return values, write_preprocessing(config.preprocessing)


FAMILY = Family(
    name="clip",
    model_types=("clip", "clip_vision_model"),
    prefixes=("vision_model.", ""),
    read=read,
    entries=entries,
    ignored=(
        r"^text_model\.",
        r"^text_projection\.",
        r"^logit_scale$",
        r"position_ids$",
        r"^visual_projection\.",
    ),
    write=write,
)
