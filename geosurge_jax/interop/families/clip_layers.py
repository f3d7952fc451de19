"""How Hugging Face stores the transformer blocks that CLIP's and SigLIP's towers have in common."""

from collections.abc import Mapping
from typing import Any, TypeVar

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.weight_map import LINEAR, Entry, heads_bias, heads_in, heads_out

Value = TypeVar("Value", int, float, str)

# `hidden_act` of a config.json, and the name in `models/layers.ACTIVATIONS`.
ACTIVATIONS = {"quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh"}

_NORMS = {"layer_norm1": "attention_norm", "layer_norm2": "mlp_norm"}
_LINEAR = {"fc1": "up", "fc2": "down"}
_PROJECTIONS = {"q_proj": "query", "k_proj": "key", "v_proj": "value"}


def stored_value(stored: Mapping[str, Any], key: str, default: Value) -> Value:
    """An entry of a config.json, or what transformers takes where it is missing or null.

    Raises:
        WeightsError: it is of another type than the default; an int stands for a float.
    """
    value = stored.get(key)
    if value is None:
        return default
    expected = (int, float) if isinstance(default, float) else (type(default),)
    if type(value) not in expected:
        raise WeightsError(f"config.json: {key}={value!r}: expected {type(default).__name__}")
    return value


def stored_activation(stored: Mapping[str, Any], default: str) -> str:
    """Our name of a config.json's `hidden_act`; WeightsError for one that is not known here."""
    value = stored_value(stored, "hidden_act", default)
    if value not in ACTIVATIONS:
        raise WeightsError(f"config.json: hidden_act={value!r}: expected one of {[*ACTIVATIONS]}")
    return ACTIVATIONS[value]


def activation_to_store(activation: str) -> str:
    """`hidden_act` of our activation."""
    return next(theirs for theirs, ours in ACTIVATIONS.items() if ours == activation)


def norm_entries(path: str, name: str) -> tuple[Entry, ...]:
    """Map of one LayerNorm."""
    return (Entry(f"{path}/scale", f"{name}.weight"), Entry(f"{path}/bias", f"{name}.bias"))


def linear_entries(path: str, name: str) -> tuple[Entry, ...]:
    """Map of one linear layer with a bias."""
    return (
        Entry(f"{path}/kernel", f"{name}.weight", LINEAR),
        Entry(f"{path}/bias", f"{name}.bias"),
    )


def block_entries(depth: int, heads: int, name: str) -> tuple[Entry, ...]:
    """Map of a stack of pre-LayerNorm blocks.

    Args:
        depth: number of blocks.
        heads: attention heads.
        name: their list of blocks, "encoder.layers" for example.
    """
    entries: list[Entry] = []
    for index in range(depth):
        path, block = f"blocks/{index:02d}", f"{name}.{index}"
        for theirs, ours in _NORMS.items():
            entries += norm_entries(f"{path}/{ours}", f"{block}.{theirs}")
        for theirs, ours in _LINEAR.items():
            entries += linear_entries(f"{path}/mlp/{ours}", f"{block}.mlp.{theirs}")
        for theirs, ours in _PROJECTIONS.items():
            place, layer = f"{path}/attention/{ours}", f"{block}.self_attn.{theirs}"
            entries += [
                Entry(f"{place}/kernel", f"{layer}.weight", heads_out(heads)),
                Entry(f"{place}/bias", f"{layer}.bias", heads_bias(heads)),
            ]
        place, layer = f"{path}/attention/out", f"{block}.self_attn.out_proj"
        entries += [
            Entry(f"{place}/kernel", f"{layer}.weight", heads_in(heads)),
            Entry(f"{place}/bias", f"{layer}.bias"),
        ]
    return tuple(entries)


def text_entries(depth: int, heads: int) -> tuple[Entry, ...]:
    """Map of a text tower up to its final LayerNorm; names below `text_model.`."""
    return (
        Entry("token_embedding/embedding", "text_model.embeddings.token_embedding.weight"),
        Entry("position_embedding", "text_model.embeddings.position_embedding.weight"),
        *block_entries(depth, heads, "text_model.encoder.layers"),
        *norm_entries("norm", "text_model.final_layer_norm"),
    )
