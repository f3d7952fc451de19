"""Swin Transformer in the layout of transformers' `SwinModel`."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.entries import CONFIG, one_of, square
from geosurge_jax.interop.families.image_processor import (
    IMAGENET,
    read_preprocessing,
    write_preprocessing,
)
from geosurge_jax.interop.families.transformer import Names, affine, block_entries
from geosurge_jax.interop.family import Family, WeightsError
from geosurge_jax.interop.weight_map import CONVOLUTION, LINEAR, Entry
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.swin import MLP_RATIO, SWIN_SIZES, SwinConfig, SwinSize

PROCESSOR = "ViTImageProcessor"

NAMES = Names(
    patch="embeddings.patch_embeddings.projection",
    block="encoder.layers.{}.blocks.{}",
    attention=(
        "layernorm_before",
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
    ),
    mlp=("layernorm_after", "intermediate.dense", "output.dense"),
    norm="layernorm",
)


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> SwinConfig:
    """Reads a Swin's config.json; entries that are missing hold transformers' defaults.

    Args:
        config: config.json.
        preprocessor: preprocessor_config.json; None takes what the published weights were trained with.

    Returns:
        The tower, all of it trained.

    Raises:
        WeightsError: a variant that is not supported; names entry and value.
    """
    one_of(CONFIG, config, "num_channels", (3,), 3)
    one_of(CONFIG, config, "mlp_ratio", (MLP_RATIO,), MLP_RATIO)
    one_of(CONFIG, config, "qkv_bias", (True,), True)
    one_of(CONFIG, config, "hidden_act", ("gelu",), "gelu")
    one_of(CONFIG, config, "use_absolute_embeddings", (False,), False)
    shape = SwinSize(
        width=config.get("embed_dim", 96),
        depths=tuple(config.get("depths", (2, 2, 6, 2))),
        heads=tuple(config.get("num_heads", (3, 6, 12, 24))),
    )
    sizes = [name for name, known in SWIN_SIZES.items() if known == shape]
    if not sizes:
        raise WeightsError(
            f"{CONFIG}: embed_dim={shape.width}, depths={[*shape.depths]}, num_heads={[*shape.heads]} are "
            f"not supported: expected those of a size in {[*SWIN_SIZES]}"
        )
    if preprocessor is None:
        side = square(CONFIG, config, "image_size", 224)
        preprocessing = Preprocessing(side, "stretch", 1.0, "bicubic", *IMAGENET)
    else:
        preprocessing = read_preprocessing(preprocessor, PROCESSOR)
    try:
        return SwinConfig(
            kind="swin",
            size=sizes[0],
            patch=square(CONFIG, config, "patch_size", 4),
            window=config.get("window_size", 7),
            norm_epsilon=config.get("layer_norm_eps", 1e-5),
            preprocessing=preprocessing,
            trained_stages=-1,
            dropout=0.0,
        )
    except ValueError as error:
        raise WeightsError(f"{CONFIG}: {error}") from error


def write(config: SwinConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inverse of `read`."""
    shape = config.shape
    entries = {
        "architectures": ["SwinModel"],
        "model_type": "swin",
        "image_size": config.preprocessing.image_size,
        "patch_size": config.patch,
        "num_channels": 3,
        "embed_dim": shape.width,
        "depths": [*shape.depths],
        "num_heads": [*shape.heads],
        "window_size": config.window,
        "mlp_ratio": float(MLP_RATIO),
        "qkv_bias": True,
        "hidden_act": "gelu",
        "use_absolute_embeddings": False,
        "layer_norm_eps": config.norm_epsilon,
    }
    return entries, write_preprocessing(config.preprocessing)


def entries(config: SwinConfig) -> tuple[Entry, ...]:
    """Where each parameter comes from."""
    found = [
        Entry("patch_embedding/kernel", f"{NAMES.patch}.weight", CONVOLUTION),
        Entry("patch_embedding/bias", f"{NAMES.patch}.bias"),
        *affine("patch_norm", "embeddings.norm"),
        *affine("norm", NAMES.norm),
    ]
    for stage, (depth, heads) in enumerate(
        zip(config.shape.depths, config.shape.heads, strict=True)
    ):
        if stage:
            # Theirs ends the stage before with it.
            path, name = f"stage_{stage}/merging", f"encoder.layers.{stage - 1}.downsample"
            found.append(Entry(f"{path}/reduction/kernel", f"{name}.reduction.weight", LINEAR))
            found.extend(affine(f"{path}/norm", f"{name}.norm"))
        for block in range(depth):
            path, name = f"stage_{stage}/block_{block:02d}", NAMES.block.format(stage, block)
            found.extend(block_entries(path, name, NAMES, heads))
            bias = f"{name}.attention.self.relative_position_bias_table"
            found.append(Entry(f"{path}/attention/relative_position_bias", bias))
    return tuple(found)


FAMILY = Family(
    name="swin",
    model_types=("swin",),
    prefixes=("", "swin."),
    read=read,
    entries=entries,
    ignored=(
        r"^classifier\.",
        r"^decoder\.",
        r"(^|\.)embeddings\.mask_token$",
        r"\.relative_position_index$",
    ),
    write=write,
)
