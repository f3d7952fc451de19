"""The text encoder that turns sentences into vectors of the image encoder's space."""

import dataclasses

from geosurge_jax.experiment.trained_model import TrainedModel
from geosurge_jax.interop.hub import HubOptions, model_directory
from geosurge_jax.interop.text_encoder import TextEncoder, load_text_encoder
from geosurge_jax.models.vit_config import ViTConfig


def open_text_encoder(model: TrainedModel, source: str, options: HubOptions) -> TextEncoder:
    """Opens the text encoder of the CLIP whose image encoder a model has.

    Args:
        model: of a system that shares a space with texts.
        source: directory or "hf:ORG/NAME"; empty for the one that the model names, of which nothing is
            downloaded.
        options: how files of the hub are fetched.

    Raises:
        ValueError: it is not there, or makes vectors of another width; one line.
    """
    if not source:
        source = model.provenance.text_encoder
        options = dataclasses.replace(options, local_files_only=True)
    if not source:
        raise ValueError(
            f"model {model.provenance.name!r}: text_encoder is missing; expected the CLIP whose image "
            "encoder the model has"
        )
    encoder = load_text_encoder(model_directory(source, "text_encoder", options))
    visual = next(iter(model.system.towers.values()))
    expected = visual.projection if isinstance(visual, ViTConfig) else 0
    found = encoder.config.projection
    if found != expected:
        raise ValueError(
            f"text_encoder={source!r}: makes vectors of width {found}, expected {expected}, that of the "
            "image encoder's projection"
        )
    return encoder
