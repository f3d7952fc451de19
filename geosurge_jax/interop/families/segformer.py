"""SegFormer in the layout of transformers' `SegformerForSemanticSegmentation`."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.entries import CONFIG, one_of
from geosurge_jax.interop.families.image_processor import (
    IMAGENET,
    read_preprocessing,
    write_preprocessing,
)
from geosurge_jax.interop.families.resnet import batch_norm
from geosurge_jax.interop.families.transformer import affine, attention, linear
from geosurge_jax.interop.family import Family, WeightsError
from geosurge_jax.interop.foreign_file import quoted
from geosurge_jax.interop.weight_map import CONVOLUTION, Entry, Transform
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.segformer import (
    MLP_RATIO,
    PATCHES,
    REDUCTIONS,
    SEGFORMER_SIZES,
    STRIDES,
    SegformerConfig,
    SegformerSize,
)

PROCESSOR = "SegformerImageProcessor"
PUBLISHED = Preprocessing(512, "stretch", 1.0, "bilinear", *IMAGENET)

# What transformers takes where config.json has no entry; these are the same in every published size.
COMMON: dict[str, Any] = {
    "num_channels": 3,
    "num_encoder_blocks": len(PATCHES),
    "patch_sizes": [*PATCHES],
    "strides": [*STRIDES],
    "sr_ratios": [*REDUCTIONS],
    "mlp_ratios": [MLP_RATIO] * len(PATCHES),
    "hidden_act": "gelu",
}

# A convolution over single pixels: [out, in, 1, 1] <-> [in, out].
PIXELWISE = Transform(lambda x: x[:, :, 0, 0].T, lambda x: x.T[:, :, None, None])


def read(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> SegformerConfig:
    """Reads a SegFormer's config.json; entries that are missing hold transformers' defaults.

    `reduce_labels` of the preprocessor concerns the maps that a model is trained on: what it puts out are
    the ids of `id2label`.

    Args:
        config: config.json.
        preprocessor: preprocessor_config.json; None takes what the published weights were trained with.

    Returns:
        The segmenter.

    Raises:
        WeightsError: a variant that is not supported; names entry and value.
    """
    for name, value in COMMON.items():
        one_of(CONFIG, config, name, (value,), value)
    shape = SegformerSize(
        widths=tuple(config.get("hidden_sizes", (32, 64, 160, 256))),
        depths=tuple(config.get("depths", (2, 2, 2, 2))),
        heads=tuple(config.get("num_attention_heads", (1, 2, 5, 8))),
        decoder=config.get("decoder_hidden_size", 256),
    )
    sizes = [name for name, known in SEGFORMER_SIZES.items() if known == shape]
    if not sizes:
        raise WeightsError(
            f"{CONFIG}: hidden_sizes={[*shape.widths]}, depths={[*shape.depths]}, "
            f"num_attention_heads={[*shape.heads]}, decoder_hidden_size={shape.decoder} are not supported: "
            f"expected those of a size in {[*SEGFORMER_SIZES]}"
        )
    preprocessing = PUBLISHED
    if preprocessor is not None:
        preprocessing = read_preprocessing(preprocessor, PROCESSOR)
    names = class_names(config)
    try:
        return SegformerConfig(sizes[0], names, preprocessing)
    except ValueError as error:
        raise WeightsError(f"{CONFIG}: {error}") from error


def class_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Reads `id2label` of a config.json: the names of the classes in the order of their ids.

    Raises:
        WeightsError: it is missing, or does not name each id from 0 on.
    """
    labels = config.get("id2label")
    if not isinstance(labels, Mapping) or not labels:
        raise WeightsError(
            f"{CONFIG}: id2label={quoted(labels)}: expected the names of the classes"
        )
    names = {str(number): name for number, name in labels.items()}
    found = [names.get(str(number)) for number in range(len(names))]
    if not all(isinstance(name, str) for name in found):
        missing = next(n for n, name in enumerate(found) if not isinstance(name, str))
        raise WeightsError(
            f"{CONFIG}: id2label has no name for class {missing} of {len(names)}: expected ids from 0 on"
        )
    return tuple(str(name) for name in found)


def write(config: SegformerConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inverse of `read`."""
    shape = config.shape
    entries = {
        "architectures": ["SegformerForSemanticSegmentation"],
        "model_type": "segformer",
        **COMMON,
        "hidden_sizes": [*shape.widths],
        "depths": [*shape.depths],
        "num_attention_heads": [*shape.heads],
        "decoder_hidden_size": shape.decoder,
        "id2label": {str(number): name for number, name in enumerate(config.class_names)},
        "label2id": {name: number for number, name in enumerate(config.class_names)},
    }
    return entries, write_preprocessing(config.preprocessing)


def entries(config: SegformerConfig) -> tuple[Entry, ...]:
    """Where each parameter comes from."""
    found = []
    for stage, depth in enumerate(config.shape.depths):
        path, name = f"stage_{stage}", f"segformer.encoder.patch_embeddings.{stage}"
        found.extend(_convolution(f"{path}/patch_embedding", f"{name}.proj"))
        found.extend(affine(f"{path}/patch_norm", f"{name}.layer_norm"))
        found.extend(affine(f"{path}/norm", f"segformer.encoder.layer_norm.{stage}"))
        for block in range(depth):
            theirs = f"segformer.encoder.block.{stage}.{block}"
            found.extend(_block(f"{path}/block_{block:02d}", theirs, config, stage))
        found.extend(linear(f"decoder/project_{stage}", f"decode_head.linear_c.{stage}.proj"))
    return (
        *found,
        Entry("decoder/fuse", "decode_head.linear_fuse.weight", PIXELWISE),
        *batch_norm("decoder/norm", "decode_head.batch_norm"),
        Entry("decoder/classifier/kernel", "decode_head.classifier.weight", PIXELWISE),
        Entry("decoder/classifier/bias", "decode_head.classifier.bias"),
    )


def _block(path: str, name: str, config: SegformerConfig, stage: int) -> list[Entry]:
    within = f"{name}.attention"
    query, key, value = (f"{within}.self.{part}" for part in ("query", "key", "value"))
    names = (query, key, value, f"{within}.output.dense")
    found = [
        *affine(f"{path}/attention_norm", f"{name}.layer_norm_1"),
        *attention(f"{path}/attention", names, config.shape.heads[stage]),
        *affine(f"{path}/mlp_norm", f"{name}.layer_norm_2"),
        *linear(f"{path}/mlp/up", f"{name}.mlp.dense1"),
        *_convolution(f"{path}/mlp/mix", f"{name}.mlp.dwconv.dwconv"),
        *linear(f"{path}/mlp/down", f"{name}.mlp.dense2"),
    ]
    if REDUCTIONS[stage] > 1:
        found.extend(_convolution(f"{path}/reduction", f"{within}.self.sr"))
        found.extend(affine(f"{path}/reduction_norm", f"{within}.self.layer_norm"))
    return found


def _convolution(path: str, name: str) -> tuple[Entry, Entry]:
    kernel = Entry(f"{path}/kernel", f"{name}.weight", CONVOLUTION)
    return kernel, Entry(f"{path}/bias", f"{name}.bias")


FAMILY = Family(
    name="segformer",
    model_types=("segformer",),
    prefixes=("",),
    read=read,
    entries=entries,
    ignored=(r"\.num_batches_tracked$",),
    write=write,
)
