"""DINOv2 (Oquab et al. 2023), also with registers (Darcet et al. 2024)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from geosurge_jax.interop.families import vit
from geosurge_jax.interop.families.entries import with_defaults
from geosurge_jax.interop.families.image_processor import (
    IMAGENET,
    read_preprocessing,
    write_preprocessing,
)
from geosurge_jax.interop.families.transformer import (
    BASE,
    dimensions,
    expect,
    fused_rows,
    linear,
    read_tower,
    tower_entries,
)
from geosurge_jax.interop.family import Family
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.models.vit_config import ViTConfig

NAMES = replace(
    vit.NAMES,
    registers="embeddings.register_tokens",
    attention=("norm1", *vit.NAMES.attention[1:]),
    mlp=("norm2", "mlp.fc1", "mlp.fc2"),
    scales=("layer_scale1.lambda1", "layer_scale2.lambda1"),
)

# What files leave out where it is this.
DEFAULTS = {
    **BASE,
    "mlp_ratio": 4.0,
    "patch_size": 14,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "use_swiglu_ffn": False,
}
REGISTERS = "dinov2_with_registers"


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> ViTConfig:
    """Our config of the tower in a DINOv2 directory."""
    values = with_defaults(config, DEFAULTS)
    expect(values, qkv_bias=True)
    # Its files were trained at 518 pixels and are used at 224, 256 before the crop.
    mean, deviation = IMAGENET
    published = {"size": {"shortest_edge": 256}, "image_mean": mean, "image_std": deviation}
    gated = values["use_swiglu_ffn"]
    hidden = int(values["hidden_size"] * values["mlp_ratio"])
    if gated:
        # Two thirds, rounded up to a multiple of 8, so that three matrices cost what two did.
        hidden = (int(hidden * 2 / 3) + 7) // 8 * 8
        values["hidden_act"] = "silu"
    registers = 0
    if config["model_type"] == REGISTERS:
        registers = with_defaults(config, {"num_register_tokens": 4})["num_register_tokens"]
    preprocessing = read_preprocessing(preprocessor or published, "BitImageProcessor")
    return read_tower(
        "dinov2", values, preprocessing, registers=registers, gated=gated, hidden=hidden
    )


def entries(config: ViTConfig) -> tuple[Entry, ...]:
    """The map of a tower; a gated MLP keeps its gate and its values in one tensor."""
    # The models with registers were trained with antialiased resizing of positions (Darcet et al. 2024).
    listed = tower_entries(config, replace(NAMES, antialias=config.registers > 0))
    if not config.gated_mlp:
        return listed
    kept = [entry for entry in listed if "/mlp/" not in entry.path]
    for index in range(config.shape.depth):
        path, name = f"blocks/{index:02d}/mlp", f"encoder.layer.{index}.mlp"
        halves = linear(f"{path}/gate", ""), linear(f"{path}/up", "")
        kernels, biases = zip(*halves, strict=True)
        kept += fused_rows(kernels, f"{name}.weights_in.weight", config.shape.mlp)
        kept += fused_rows(biases, f"{name}.weights_in.bias", config.shape.mlp)
        kept += linear(f"{path}/down", f"{name}.weights_out")
    return tuple(kept)


def write(config: ViTConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and preprocessor_config.json."""
    ratio = config.shape.mlp / config.width
    values = {
        "architectures": ["Dinov2WithRegistersModel" if config.registers else "Dinov2Model"],
        "model_type": REGISTERS if config.registers else "dinov2",
        **dimensions(replace(config, activation="gelu") if config.gated_mlp else config),
        "mlp_ratio": ratio * 3 / 2 if config.gated_mlp else ratio,
        "use_swiglu_ffn": config.gated_mlp,
        "use_mask_token": False,
    }
    if config.registers:
        values["num_register_tokens"] = config.registers
    return values, write_preprocessing(config.preprocessing)


FAMILY = Family(
    name="dinov2",
    model_types=("dinov2", REGISTERS),
    prefixes=("", "dinov2.", "dinov2_with_registers."),
    read=read,
    entries=entries,
    ignored=(r"^classifier\.", r"mask_token$"),
    write=write,
)
