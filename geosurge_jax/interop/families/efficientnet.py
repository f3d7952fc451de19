"""EfficientNet in the layout of transformers' `EfficientNetModel`."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.entries import CONFIG, one_of, square
from geosurge_jax.interop.families.image_processor import (
    IMAGENET,
    read_preprocessing,
    write_preprocessing,
)
from geosurge_jax.interop.families.resnet import batch_norm
from geosurge_jax.interop.family import Family, WeightsError
from geosurge_jax.interop.weight_map import CONVOLUTION, Entry
from geosurge_jax.models.efficientnet import EfficientNetConfig
from geosurge_jax.models.efficientnet_sizes import (
    BASELINE,
    DIVISOR,
    EFFICIENTNET_SIZES,
    SQUEEZE_RATIO,
    STEM,
    EfficientNetSize,
    StageShape,
)
from geosurge_jax.models.preprocessing import Preprocessing

PROCESSOR = "EfficientNetImageProcessor"

# Their lists, one number a stage, and ours.
LISTS = {
    "kernel_sizes": "kernel",
    "strides": "stride",
    "expand_ratios": "expansion",
    "out_channels": "channels",
    "num_block_repeats": "repeats",
}


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> EfficientNetConfig:
    """Reads an EfficientNet's config.json; entries that are missing hold transformers' defaults.

    Args:
        config: config.json.
        preprocessor: preprocessor_config.json; None takes what the published weights were converted with.

    Returns:
        The tower, all of it trained but for the statistics of batch normalisation.

    Raises:
        WeightsError: a variant that is not supported; names entry and value.
    """
    one_of(CONFIG, config, "num_channels", (3,), 3)
    one_of(CONFIG, config, "depth_divisor", (DIVISOR,), DIVISOR)
    one_of(CONFIG, config, "squeeze_expansion_ratio", (SQUEEZE_RATIO,), SQUEEZE_RATIO)
    one_of(CONFIG, config, "hidden_act", ("swish", "silu"), "swish")
    one_of(CONFIG, config, "pooling_type", ("mean",), "mean")
    size = _size(config)
    if preprocessor is None:
        side = square(CONFIG, config, "image_size", 600)
        preprocessing = Preprocessing(side, "stretch", 1.0, "nearest", *IMAGENET)
    else:
        preprocessing = read_preprocessing(preprocessor, PROCESSOR)
    try:
        found = EfficientNetConfig(
            kind="efficientnet",
            size=size,
            norm_epsilon=config.get("batch_norm_eps", 1e-3),
            preprocessing=preprocessing,
            trained_stages=-1,
        )
    except ValueError as error:
        raise WeightsError(f"{CONFIG}: {error}") from error
    one_of(CONFIG, config, "hidden_dim", (found.shape.top,), 2560)
    _padding_fits(config, found)
    return found


def write(config: EfficientNetConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inverse of `read`."""
    shape, image_size = config.shape, config.preprocessing.image_size
    lists = {
        theirs: [vars(stage)[ours] for stage in shape.stages] for theirs, ours in LISTS.items()
    }
    entries = {
        "architectures": ["EfficientNetModel"],
        "model_type": "efficientnet",
        "num_channels": 3,
        "image_size": image_size,
        "width_coefficient": shape.width,
        "depth_coefficient": shape.depth,
        "depth_divisor": DIVISOR,
        **lists,
        "in_channels": [STEM, *lists["out_channels"][:-1]],
        "depthwise_padding": [*shape.odd_strides(image_size)],
        "squeeze_expansion_ratio": SQUEEZE_RATIO,
        "hidden_act": "swish",
        "hidden_dim": shape.top,
        "pooling_type": "mean",
        "batch_norm_eps": config.norm_epsilon,
    }
    return entries, write_preprocessing(config.preprocessing)


def entries(config: EfficientNetConfig) -> tuple[Entry, ...]:
    """Where each parameter comes from."""
    found = [
        *_convolution("stem", "embeddings.convolution", "embeddings.batchnorm"),
        *_convolution("top", "encoder.top_conv", "encoder.top_bn"),
    ]
    number = 0  # theirs counts blocks through all stages
    for stage, blocks in enumerate(config.shape.blocks):
        for index, block in enumerate(blocks):
            path, name = f"stage_{stage}/block_{index:02d}", f"encoder.blocks.{number}"
            number += 1
            layers = [
                ("depthwise", "depthwise_conv.depthwise_conv", "depthwise_conv.depthwise_norm"),
                ("project", "projection.project_conv", "projection.project_bn"),
            ]
            if block.expands:
                layers.append(("expand", "expansion.expand_conv", "expansion.expand_bn"))
            for ours, convolution, norm in layers:
                found.extend(
                    _convolution(f"{path}/{ours}", f"{name}.{convolution}", f"{name}.{norm}")
                )
            for part in ("reduce", "expand"):
                ours, theirs = f"{path}/squeeze/{part}", f"{name}.squeeze_excite.{part}"
                found.append(Entry(f"{ours}/kernel", f"{theirs}.weight", CONVOLUTION))
                found.append(Entry(f"{ours}/bias", f"{theirs}.bias"))
    return tuple(found)


def _size(config: Mapping[str, Any]) -> str:
    """The name of the size; raises WeightsError where there is none."""
    defaults = {theirs: [vars(stage)[ours] for stage in BASELINE] for theirs, ours in LISTS.items()}
    lists = {theirs: [*config.get(theirs, default)] for theirs, default in defaults.items()}
    width = float(config.get("width_coefficient", 2.0))
    depth = float(config.get("depth_coefficient", 3.1))
    before = [STEM, *lists["out_channels"][:-1]]
    one_of(CONFIG, config, "in_channels", (before,), [STEM, *defaults["out_channels"][:-1]])
    if len({len(values) for values in lists.values()}) == 1:
        stages = tuple(StageShape(*values) for values in zip(*lists.values(), strict=True))
        for name, known in EFFICIENTNET_SIZES.items():
            if known == EfficientNetSize(width, depth, stages):
                return name
    stated = ", ".join(f"{name}={values}" for name, values in lists.items())
    raise WeightsError(
        f"{CONFIG}: width_coefficient={width}, depth_coefficient={depth}, {stated} are not supported: "
        f"expected those of a size in {[*EFFICIENTNET_SIZES]}"
    )


def _padding_fits(config: Mapping[str, Any], found: EfficientNetConfig) -> None:
    """Refuses padding that is not TensorFlow's for the size of the photos.

    Theirs is a list of blocks in the file, right for one size; ours follows the size.
    """
    blocks = [block for stage in found.shape.blocks for block in stage]
    listed = [
        n for n in config.get("depthwise_padding", ()) if n < len(blocks) and blocks[n].stride == 2
    ]
    expected = [*found.shape.odd_strides(found.preprocessing.image_size)]
    if sorted(listed) != expected:
        raise WeightsError(
            f"{CONFIG}: depthwise_padding={listed} is not supported: expected {expected} for photos of "
            f"{found.preprocessing.image_size} pixels"
        )


def _convolution(path: str, convolution: str, norm: str) -> list[Entry]:
    kernel = Entry(f"{path}/convolution/kernel", f"{convolution}.weight", CONVOLUTION)
    return [kernel, *batch_norm(f"{path}/norm", norm)]


FAMILY = Family(
    name="efficientnet",
    model_types=("efficientnet",),
    prefixes=("", "efficientnet."),
    read=read,
    entries=entries,
    ignored=(r"^classifier\.", r"\.num_batches_tracked$"),
    write=write,
)
