"""What CLIP's and SigLIP's text towers have in common on disk."""

from geosurge_jax.interop.families.clip import NAMES
from geosurge_jax.interop.families.transformer import affine, block_entries
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.models.text import TextConfig


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
