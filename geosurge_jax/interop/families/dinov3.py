"""DINOv3's Vision Transformers (Simeoni et al. 2025), for those whom its licence gives the weights."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.entries import with_defaults
from geosurge_jax.interop.families.image_processor import read_preprocessing, write_preprocessing
from geosurge_jax.interop.families.transformer import (
    BASE,
    Names,
    dimensions,
    expect,
    linear,
    read_tower,
    tower_entries,
)
from geosurge_jax.interop.family import Family
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.models.rotary import PERIOD_BASE
from geosurge_jax.models.vit_config import ViTConfig

NAMES = Names(
    patch="embeddings.patch_embeddings",
    class_token="embeddings.cls_token",
    registers="embeddings.register_tokens",
    leading=(2, 0),
    block="layer.{}",
    attention=(
        "norm1", "attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj",
    ),
    mlp=("norm2", "mlp.up_proj", "mlp.down_proj"),
    scales=("layer_scale1.lambda1", "layer_scale2.lambda1"),
    norm="norm",
)  # fmt: skip

# What files leave out where it is this.
DEFAULTS = {
    **BASE,
    "hidden_size": 384,
    "intermediate_size": 1536,
    "num_attention_heads": 6,
    "patch_size": 16,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "use_gated_mlp": False,
    "num_register_tokens": 0,
}


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> ViTConfig:
    """Our config of the tower in a DINOv3 directory."""
    values = with_defaults(config, DEFAULTS)
    expect(
        values, query_bias=True, key_bias=False, value_bias=True, proj_bias=True, mlp_bias=True,
        rope_theta=PERIOD_BASE,
    )  # fmt: skip
    published = {"size": values["image_size"]}
    preprocessing = read_preprocessing(preprocessor or published, "DINOv3ViTImageProcessor")
    return read_tower(
        "dinov3",
        values,
        preprocessing,
        registers=values["num_register_tokens"],
        gated=values["use_gated_mlp"],
    )


def entries(config: ViTConfig) -> tuple[Entry, ...]:
    """The map of a tower."""
    gates: list[Entry] = []
    if config.gated_mlp:
        for index in range(config.shape.depth):
            gates += linear(f"blocks/{index:02d}/mlp/gate", f"layer.{index}.mlp.gate_proj")
    return (*tower_entries(config, NAMES), *gates)


def write(config: ViTConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and preprocessor_config.json."""
    values = {
        "architectures": ["DINOv3ViTModel"],
        "model_type": "dinov3_vit",
        **dimensions(config),
        "intermediate_size": config.shape.mlp,
        "use_gated_mlp": config.gated_mlp,
        "num_register_tokens": config.registers,
    }
    return values, write_preprocessing(config.preprocessing)


FAMILY = Family(
    name="dinov3",
    model_types=("dinov3_vit",),
    prefixes=("", "model.", "dinov3_vit."),
    read=read,
    entries=entries,
    ignored=(r"mask_token$",),
    write=write,
)
