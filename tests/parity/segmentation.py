"""Frozen SegFormers as ours."""

from pathlib import Path

import jax.numpy as jnp

from geosurge_jax.interop.families.segformer import FAMILY
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import StoredModel
from geosurge_jax.interop.part import part_of
from geosurge_jax.models.segformer import Segformer
from tests.parity.comparison import shapes_of


def load_frozen(oracle):
    """Config and parameters of an oracle's segmenter."""
    config = FAMILY.read(oracle.config, oracle.preprocessor)
    side = config.preprocessing.image_size
    shapes = shapes_of(Segformer(config), {"image": jnp.zeros((1, side, side, 3), jnp.uint8)})
    where = Path(oracle.name)
    stored = StoredModel(where, oracle.config, oracle.preprocessor, oracle.weights, {})
    return config, load_part(part_of(stored, FAMILY, config, shapes))
