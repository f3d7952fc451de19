"""What CLIP's and SigLIP's text towers have in common on disk."""

from collections.abc import Mapping
from typing import Any

from geosurge_jax.interop.families.clip import NAMES
from geosurge_jax.interop.families.transformer import (
    activation,
    activation_to_write,
    affine,
    block_entries,
)
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.models.text import TextConfig


def read_text(
    kind: str, values: Mapping[str, Any], *, projection: int, end_token: int | None
) -> TextConfig:
    """The tower that a config.json describes.

    Args:
        kind: "clip" or "siglip".
        values: entries of config.json, from `with_defaults`.
        projection: see `TextConfig`.
        end_token: see `TextConfig`.
    """
    return TextConfig(
        kind=kind,
        vocabulary=values["vocab_size"],
        context=values["max_position_embeddings"],
        width=values["hidden_size"],
        depth=values["num_hidden_layers"],
        mlp=values["intermediate_size"],
        heads=values["num_attention_heads"],
        activation=activation(values),
        norm_epsilon=float(values["layer_norm_eps"]),
        projection=projection,
        end_token=end_token,
    )


def text_dimensions(config: TextConfig) -> dict[str, Any]:
    """The entries of config.json that both layouts share."""
    return {
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "intermediate_size": config.mlp,
        "num_attention_heads": config.heads,
        "hidden_act": activation_to_write(config.activation),
        "layer_norm_eps": config.norm_epsilon,
    }


def text_entries(config: TextConfig) -> tuple[Entry, ...]:
    """The map of a tower up to its final norm; blocks are named as those of the image towers."""
    entries = [
        Entry("token_embedding/embedding", "text_model.embeddings.token_embedding.weight"),
        Entry("position_embedding", "text_model.embeddings.position_embedding.weight"),
        *affine("norm", "text_model.final_layer_norm"),
    ]
    for index in range(config.depth):
        name = f"text_model.{NAMES.block.format(index)}"
        entries += block_entries(f"blocks/{index:02d}", name, NAMES, config.heads)
    return tuple(entries)
