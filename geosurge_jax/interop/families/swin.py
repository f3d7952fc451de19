"""Swin Transformer in the layout of transformers' `SwinModel`."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.entries import CONFIG, one_of, square
from geosurge_jax.interop.families.image_processor import (
    IMAGENET,
    read_preprocessing,
    write_preprocessing,
)
from geosurge_jax.interop.family import Family, WeightsError
from geosurge_jax.interop.weight_map import (
    CONVOLUTION,
    LINEAR,
    Entry,
    heads_bias,
    heads_in,
    heads_out,
)
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.swin import MLP_RATIO, SWIN_SIZES, SwinConfig, SwinSize

PROCESSOR = "ViTImageProcessor"


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
    return entries, write_preprocessing(config.preprocessing, PROCESSOR)


def entries(config: SwinConfig) -> tuple[Entry, ...]:
    """Where each parameter comes from."""
    found = [
        Entry(
            "patch_embedding/kernel", "embeddings.patch_embeddings.projection.weight", CONVOLUTION
        ),
        Entry("patch_embedding/bias", "embeddings.patch_embeddings.projection.bias"),
        *_norm("patch_norm", "embeddings.norm"),
        *_norm("norm", "layernorm"),
    ]
    for stage, (depth, heads) in enumerate(
        zip(config.shape.depths, config.shape.heads, strict=True)
    ):
        if stage:
            # Theirs ends the stage before with it.
            path, name = f"stage_{stage}/merging", f"encoder.layers.{stage - 1}.downsample"
            found.append(Entry(f"{path}/reduction/kernel", f"{name}.reduction.weight", LINEAR))
            found.extend(_norm(f"{path}/norm", f"{name}.norm"))
        for block in range(depth):
            path = f"stage_{stage}/block_{block:02d}"
            found.extend(_block(path, f"encoder.layers.{stage}.blocks.{block}", heads))
    return tuple(found)


def _block(path: str, name: str, heads: int) -> list[Entry]:
    attention = f"{path}/attention"
    found = [
        *_norm(f"{path}/attention_norm", f"{name}.layernorm_before"),
        *_norm(f"{path}/mlp_norm", f"{name}.layernorm_after"),
        Entry(
            f"{attention}/relative_position_bias",
            f"{name}.attention.self.relative_position_bias_table",
        ),
        Entry(f"{attention}/out/kernel", f"{name}.attention.output.dense.weight", heads_in(heads)),
        Entry(f"{attention}/out/bias", f"{name}.attention.output.dense.bias"),
    ]
    for part in ("query", "key", "value"):
        theirs = f"{name}.attention.self.{part}"
        found.append(Entry(f"{attention}/{part}/kernel", f"{theirs}.weight", heads_out(heads)))
        found.append(Entry(f"{attention}/{part}/bias", f"{theirs}.bias", heads_bias(heads)))
    for ours, theirs in (("up", "intermediate"), ("down", "output")):
        found.append(Entry(f"{path}/mlp/{ours}/kernel", f"{name}.{theirs}.dense.weight", LINEAR))
        found.append(Entry(f"{path}/mlp/{ours}/bias", f"{name}.{theirs}.dense.bias"))
    return found


def _norm(path: str, name: str) -> list[Entry]:
    return [Entry(f"{path}/scale", f"{name}.weight"), Entry(f"{path}/bias", f"{name}.bias")]


FAMILY = Family(
    name="swin",
    model_types=("swin",),
    prefixes=("swin.", ""),
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
