"""Residual networks in the layout of transformers' `ResNetModel`."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.entries import CONFIG, one_of
from geosurge_jax.interop.families.image_processor import (
    IMAGENET,
    read_preprocessing,
    write_preprocessing,
)
from geosurge_jax.interop.family import Family, WeightsError
from geosurge_jax.interop.weight_map import CONVOLUTION, Entry
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.resnet import ResNetConfig
from geosurge_jax.models.resnet_sizes import RESNET_SIZES, ResNetSize

PROCESSOR = "ConvNextImageProcessor"
# Of the published weights: the short side at 256, the centre 224.
PUBLISHED = Preprocessing(224, "short", 256 / 224, "bicubic", *IMAGENET)

LAYER_TYPES = {"basic": False, "bottleneck": True}


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> ResNetConfig:
    """Reads a ResNet's config.json; entries that are missing hold transformers' defaults.

    Args:
        config: config.json.
        preprocessor: preprocessor_config.json; None takes what the published weights were trained with.

    Returns:
        The tower, all of it trained but for the statistics of batch normalisation.

    Raises:
        WeightsError: a variant that is not supported; names entry and value.
    """
    one_of(CONFIG, config, "num_channels", (3,), 3)
    one_of(CONFIG, config, "hidden_act", ("relu",), "relu")
    one_of(CONFIG, config, "downsample_in_first_stage", (False,), False)
    one_of(CONFIG, config, "downsample_in_bottleneck", (False,), False)
    layer_type = one_of(CONFIG, config, "layer_type", [*LAYER_TYPES], "bottleneck")
    shape = ResNetSize(
        stem=config.get("embedding_size", 64),
        widths=tuple(config.get("hidden_sizes", (256, 512, 1024, 2048))),
        depths=tuple(config.get("depths", (3, 4, 6, 3))),
        bottleneck=LAYER_TYPES[layer_type],
    )
    sizes = [name for name, known in RESNET_SIZES.items() if known == shape]
    if not sizes:
        raise WeightsError(
            f"{CONFIG}: embedding_size={shape.stem}, hidden_sizes={[*shape.widths]}, "
            f"depths={[*shape.depths]}, layer_type={layer_type!r} are not supported: expected those of a "
            f"size in {[*RESNET_SIZES]}"
        )
    preprocessing = PUBLISHED
    if preprocessor is not None:
        preprocessing = read_preprocessing(preprocessor, PROCESSOR)
    try:
        return ResNetConfig("resnet", sizes[0], preprocessing, trained_stages=-1)
    except ValueError as error:
        raise WeightsError(f"{CONFIG}: {error}") from error


def write(config: ResNetConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inverse of `read`."""
    shape = config.shape
    entries = {
        "architectures": ["ResNetModel"],
        "model_type": "resnet",
        "num_channels": 3,
        "embedding_size": shape.stem,
        "hidden_sizes": [*shape.widths],
        "depths": [*shape.depths],
        "layer_type": "bottleneck" if shape.bottleneck else "basic",
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
        "downsample_in_bottleneck": False,
    }
    return entries, write_preprocessing(config.preprocessing)


def entries(config: ResNetConfig) -> tuple[Entry, ...]:
    """Where each parameter comes from."""
    found, shape = _convolution("stem", "embedder.embedder"), config.shape
    for stage, depth in enumerate(shape.depths):
        for block in range(depth):
            path = f"stage_{stage}/block_{block:02d}"
            name = f"encoder.stages.{stage}.layers.{block}"
            for layer in range(len(shape.series(stage, block))):
                found.extend(_convolution(f"{path}/layer_{layer}", f"{name}.layer.{layer}"))
            if shape.shortcut(stage, block):
                found.extend(_convolution(f"{path}/shortcut", f"{name}.shortcut"))
    return tuple(found)


def batch_norm(path: str, name: str) -> list[Entry]:
    """The four parameters of a `FrozenBatchNorm` from torch's `BatchNorm2d`."""
    theirs = {
        "scale": "weight",
        "bias": "bias",
        "mean": "running_mean",
        "variance": "running_var",
    }
    return [Entry(f"{path}/{ours}", f"{name}.{part}") for ours, part in theirs.items()]


def _convolution(path: str, name: str) -> list[Entry]:
    kernel = Entry(f"{path}/convolution/kernel", f"{name}.convolution.weight", CONVOLUTION)
    return [kernel, *batch_norm(f"{path}/norm", f"{name}.normalization")]


FAMILY = Family(
    name="resnet",
    model_types=("resnet",),
    prefixes=("", "resnet."),
    read=read,
    entries=entries,
    ignored=(r"^classifier\.", r"\.num_batches_tracked$"),
    write=write,
)
