"""Sentences to vectors by a published text tower: prompts of places, captions, queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.interop.families import clip_text, siglip_text
from geosurge_jax.interop.family import Family, WeightsError
from geosurge_jax.interop.foreign_file import quoted
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import StoredModel, open_model
from geosurge_jax.interop.part import part_of, read_config
from geosurge_jax.interop.tokenizer import Tokenizer, load_tokenizer
from geosurge_jax.models.text import TextConfig, TextTower
from geosurge_jax.systems.contract import Params

FAMILIES = (clip_text.FAMILY, siglip_text.FAMILY)


@dataclass(frozen=True)
class TextEncoder:
    """A text tower with its tokenizer.

    Attributes:
        config: the tower's choices.
        tokenizer: makes its ids.
        params: the tower's parameters, float32.
    """

    config: TextConfig
    tokenizer: Tokenizer
    params: Params

    def vectors(self, sentences: Sequence[str]) -> np.ndarray:
        """Encodes B sentences as the tower gives them, float32 `[B, E]`; compiled once for each B.

        Raises:
            ValueError: a sentence that is no text.
        """
        return np.asarray(_encode(self.config, self.params, self.tokenizer.encode(sentences)))

    def directions(self, sentences: Sequence[str]) -> np.ndarray:
        """The same at unit length: what a photo's vector is compared with by its cosine."""
        vectors = self.vectors(sentences)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@partial(jax.jit, static_argnums=0)
def _encode(config: TextConfig, params: Params, tokens: jax.Array) -> Any:
    return TextTower(config).apply({"params": params}, tokens)


def load_text_encoder(directory: Path) -> TextEncoder:
    """Reads a directory of Hugging Face's layout that holds a CLIP or SigLIP, whole or its text tower alone.

    Raises:
        WeightsError: a file is missing or damaged, the model is of another family, or its tokenizer is not
            the tower's.
    """
    stored = open_model(directory)
    family = _family(stored)
    config: TextConfig = read_config(stored, family)
    tokenizer = load_tokenizer(directory, config.context)
    _check_tokenizer(directory, config, tokenizer)
    tokens = jax.ShapeDtypeStruct((1, config.context), jnp.int32)
    shapes = jax.eval_shape(TextTower(config).init, jax.random.key(0), tokens)["params"]
    return TextEncoder(config, tokenizer, load_part(part_of(stored, family, config, shapes)))


def _family(stored: StoredModel) -> Family:
    kind = stored.config.get("model_type")
    for family in FAMILIES:
        if kind in family.model_types:
            return family
    known = [name for family in FAMILIES for name in family.model_types]
    raise WeightsError(
        f"{stored.directory / 'config.json'}: model_type={quoted(kind)}: expected one of {known}"
    )


def _check_tokenizer(directory: Path, config: TextConfig, tokenizer: Tokenizer) -> None:
    path = directory / "tokenizer.json"
    if tokenizer.vocabulary > config.vocabulary:
        raise WeightsError(
            f"{path}: ids up to {tokenizer.vocabulary - 1}: expected fewer than the tower's "
            f"vocabulary of {config.vocabulary}"
        )
    if config.kind == "clip" and config.end_token not in (None, tokenizer.end_token):
        raise WeightsError(
            f"{path}: end token {tokenizer.end_token}: expected {config.end_token} as in config.json"
        )
