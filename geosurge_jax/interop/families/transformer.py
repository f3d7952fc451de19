"""What the Vision Transformers of Hugging Face's layouts have in common: the same parts by other names."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from geosurge_jax.interop.families.entries import CONFIG
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.weight_map import (
    LINEAR,
    Entry,
    PositionGrid,
    heads_bias,
    heads_in,
    heads_out,
    leading_ones,
    patch_kernel,
)
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.vit_config import VIT_SIZES, ViTConfig, ViTSize

# Names of activations in config.json and ours.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "silu": "silu",
}


# What files of image towers leave out where it is this: the dimensions of a ViT-B.
BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
}


@dataclass(frozen=True)
class Names:
    """Names of the tensors of a layout, without prefix, weight and bias.

    Attributes:
        patch: convolution that embeds patches.
        block: a block, with `{}` for its number.
        attention: attention norm, query, key, value, output, below a block.
        mlp: MLP norm, first and second linear layer, below a block.
        norm: the final norm.
        class_token: full name; empty for none.
        position: full name of the learned positions; empty for none.
        leading: axes of size 1 that class token, positions and registers begin with.
        scales: full names of the branches' scales below a block; empty for none.
        pre_norm: norm before the first block; empty for none.
        antialias: whether positions are resized with antialiasing.
    """

    patch: str
    block: str
    attention: tuple[str, str, str, str, str]
    mlp: tuple[str, str, str]
    norm: str
    class_token: str = ""
    position: str = ""
    leading: tuple[int, int] = (0, 0)
    registers: str = ""
    scales: tuple[str, str] | tuple[()] = ()
    pre_norm: str = ""
    antialias: bool = False


def affine(path: str, name: str) -> tuple[Entry, Entry]:
    """Scale and bias of a norm."""
    return Entry(f"{path}/scale", f"{name}.weight"), Entry(f"{path}/bias", f"{name}.bias")


def linear(path: str, name: str) -> tuple[Entry, Entry]:
    """Kernel and bias of a linear layer."""
    return Entry(f"{path}/kernel", f"{name}.weight", LINEAR), Entry(f"{path}/bias", f"{name}.bias")


def attention(path: str, names: tuple[str, str, str, str], heads: int) -> tuple[Entry, ...]:
    """Query, key, value and output of an attention, each with a bias."""
    entries = []
    for part, name in zip(("query", "key", "value"), names[:3], strict=True):
        entries.append(Entry(f"{path}/{part}/kernel", f"{name}.weight", heads_out(heads)))
        entries.append(Entry(f"{path}/{part}/bias", f"{name}.bias", heads_bias(heads)))
    entries.append(Entry(f"{path}/out/kernel", f"{names[3]}.weight", heads_in(heads)))
    entries.append(Entry(f"{path}/out/bias", f"{names[3]}.bias"))
    return tuple(entries)


def block_entries(path: str, name: str, names: Names, heads: int) -> list[Entry]:
    """The map of one block."""

    def within(part: str) -> str:
        return f"{name}.{part}"

    query, key, value, out = (within(part) for part in names.attention[1:])
    scales = zip(("attention_scale", "mlp_scale"), names.scales, strict=False)
    return [
        *affine(f"{path}/attention_norm", within(names.attention[0])),
        *attention(f"{path}/attention", (query, key, value, out), heads),
        *affine(f"{path}/mlp_norm", within(names.mlp[0])),
        *linear(f"{path}/mlp/up", within(names.mlp[1])),
        *linear(f"{path}/mlp/down", within(names.mlp[2])),
        *(Entry(f"{path}/{ours}", within(theirs)) for ours, theirs in scales),
    ]


def tower_entries(config: ViTConfig, names: Names) -> tuple[Entry, ...]:
    """The map of a tower whose file is laid out by `names`."""
    design = config.design
    entries = [
        Entry("patch_embedding/kernel", f"{names.patch}.weight", patch_kernel(config.patch)),
        *affine("norm", names.norm),
    ]
    if design.patch_bias:
        entries.append(Entry("patch_embedding/bias", f"{names.patch}.bias"))
    if design.class_token:
        entries.append(Entry("class_token", names.class_token, leading_ones(names.leading[0])))
    if not design.rotary:
        position = Entry("position_embedding", names.position, leading_ones(names.leading[1]))
        grid = PositionGrid(before=int(design.class_token), antialias=names.antialias)
        entries.append(replace(position, grid=grid))
    if config.registers:
        entries.append(Entry("registers", names.registers, leading_ones(1)))
    if design.pre_norm:
        entries += affine("pre_norm", names.pre_norm)
    for index in range(config.shape.depth):
        name = names.block.format(index)
        entries += block_entries(f"blocks/{index:02d}", name, names, config.shape.heads)
    if not design.key_bias:
        entries = [entry for entry in entries if not entry.path.endswith("/key/bias")]
    return tuple(entries)


def activation(values: Mapping[str, Any]) -> str:
    """Our name of a config.json's `hidden_act`.

    Raises:
        WeightsError: one that is not known here.
    """
    if values["hidden_act"] not in ACTIVATIONS:
        raise WeightsError(
            f"{CONFIG}: hidden_act={values['hidden_act']!r}: expected one of {[*ACTIVATIONS]}"
        )
    return ACTIVATIONS[values["hidden_act"]]


def activation_to_write(ours: str) -> str:
    """The inverse of `activation`."""
    return next(theirs for theirs, name in ACTIVATIONS.items() if name == ours)


def read_tower(
    kind: str,
    values: Mapping[str, Any],
    preprocessing: Preprocessing,
    *,
    projection: int = 0,
    registers: int = 0,
    gated: bool = False,
    hidden: int = 0,
) -> ViTConfig:
    """The tower that a config.json describes; all of it is trained, unrolled and without dropout.

    Args:
        kind: a name in `VIT_DESIGNS`.
        values: entries of config.json, from `with_defaults`.
        preprocessing: of the model's directory.
        projection: see `ViTConfig`.
        registers: see `ViTConfig`.
        gated: whether the MLP is gated.
        hidden: width of the MLP, where config.json does not say it as `intermediate_size`.

    Raises:
        WeightsError: a size without a name in `VIT_SIZES`, or an entry that is not supported.
    """
    if values["num_channels"] != 3:
        raise WeightsError(f"{CONFIG}: num_channels={values['num_channels']}: expected 3")
    shape = ViTSize(
        width=values["hidden_size"],
        depth=values["num_hidden_layers"],
        mlp=hidden or values["intermediate_size"],
        heads=values["num_attention_heads"],
    )
    sizes = [name for name, size in VIT_SIZES.items() if size == shape]
    if not sizes:
        raise WeightsError(f"{CONFIG}: {shape}: expected the dimensions of one of {[*VIT_SIZES]}")
    return ViTConfig(
        kind=kind,
        size=sizes[0],
        patch=values["patch_size"],
        registers=registers,
        activation=activation(values),
        gated_mlp=gated,
        norm_epsilon=values["layer_norm_eps"],
        projection=projection,
        preprocessing=preprocessing,
        trained_blocks=-1,
        scan=False,
        remat=False,
        dropout=0.0,
    )


def dimensions(config: ViTConfig) -> dict[str, Any]:
    """The entries of config.json that all layouts share."""
    return {
        "hidden_size": config.width,
        "num_hidden_layers": config.shape.depth,
        "num_attention_heads": config.shape.heads,
        "hidden_act": activation_to_write(config.activation),
        "layer_norm_eps": config.norm_epsilon,
        "image_size": config.preprocessing.image_size,
        "patch_size": config.patch,
        "num_channels": 3,
    }


def expect(values: Mapping[str, Any], **expected: Any) -> None:
    """Refuses entries of config.json that are there with another value than the one supported.

    Raises:
        WeightsError: names the entry, its value and what was expected.
    """
    for name, value in expected.items():
        if values.get(name, value) != value:
            raise WeightsError(f"{CONFIG}: {name}={values[name]!r}: expected {value!r}")


def fused_rows(entries: tuple[Entry, ...], name: str, widths: int) -> tuple[Entry, ...]:
    """Lets entries share the rows of one tensor, `widths` rows each, in their order."""
    return tuple(
        replace(entry, name=name, rows=(index * widths, (index + 1) * widths))
        for index, entry in enumerate(entries)
    )
