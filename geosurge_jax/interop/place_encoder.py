"""A location encoder alone: places to vectors, for whatever else wants to know what a place is like."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.geo import check_latlng
from geosurge_jax.interop.geoclip import read_location_encoder
from geosurge_jax.models.location_encoder import LocationEncoder, LocationEncoderConfig
from geosurge_jax.systems.contract import Params


@dataclass(frozen=True)
class PlaceEncoder:
    """A location encoder with its parameters.

    Attributes:
        config: its choices.
        params: its parameters.
    """

    config: LocationEncoderConfig
    params: Params

    def __call__(self, latlng: np.ndarray) -> np.ndarray:
        """Encodes places, degrees `[M, 2]`, into float32 `[M, E]`; compiled once for each M.

        Raises:
            ValueError: a row is no place on Earth; names the row and its value.
        """
        places = check_latlng(latlng).astype(np.float32)
        return np.asarray(_encode(self.config, self.params, places))


@partial(jax.jit, static_argnums=0)
def _encode(config: LocationEncoderConfig, params: Params, latlng: jax.Array) -> Any:
    return LocationEncoder(config).apply({"params": params}, jnp.asarray(latlng))


def load_place_encoder(path: Path, projection: str) -> PlaceEncoder:
    """Reads a location encoder as GeoCLIP publishes it, or as `--mode=export` writes it.

    Args:
        path: `location_encoder_weights.pth`, or `location_encoder.safetensors` of an export.
        projection: that it was trained with: "equal_earth" for GeoCLIP's own, "web_mercator" for G3's.

    Raises:
        WeightsError: the file holds something else.
    """
    return PlaceEncoder(*read_location_encoder(path, projection))
