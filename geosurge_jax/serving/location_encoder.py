"""A published location encoder on its own: coordinates to vectors."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from geosurge_jax.geo import check_latlng
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.geoclip import read_location_encoder
from geosurge_jax.interop.geoclip_release import PROJECTION, location_encoder_file
from geosurge_jax.interop.hub import HUB, HubOptions, download
from geosurge_jax.models.location_encoder import LocationEncoder as LocationEncoderModule
from geosurge_jax.models.location_encoder import (
    LocationEncoderConfig,
    PlanePoints,
    project_on_host,
)
from geosurge_jax.serving.catalogue import find_published
from geosurge_jax.systems.contract import Params

# What `--mode=export` calls the location encoder of a GeoCLIP.
EXPORTED_FILE = "location_encoder.safetensors"
PUBLISHED = "geoclip-location-encoder"

# Rows encoded at a time: bounds the memory, and compiles one program for any number of rows.
BLOCK = 4096


@dataclass(frozen=True)
class LocationEncoder:
    """A location encoder with its parameters.

    Attributes:
        config: its choices.
        params: its parameters, float32.
    """

    config: LocationEncoderConfig
    params: Params

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        projection: str = PROJECTION,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> "LocationEncoder":
        """Opens a published location encoder, or one that was exported from a run.

        Args:
            source: "geoclip"; "hf:ORG/NAME[@REVISION]"; a release folder, with or without the image encoder;
                the folder `model` of an installed `geoclip` package; an exported model; or the file itself.
            projection: that it was trained on, which no file states: "equal_earth" for GeoCLIP's own,
                "web_mercator" for G3's.
            revision: branch, tag or commit on the hub, where the name gives none.
            cache_dir: folder for downloads; None for the hub client's own.
            local_files_only: use what was downloaded earlier and nothing else.

        Raises:
            WeightsError: it is not there, damaged, or something else; one line.
        """
        cache = None if cache_dir is None else Path(cache_dir)
        options = HubOptions(revision, cache, local_files_only)
        file = _find_file(str(source), options)
        return cls(*read_location_encoder(file, projection))

    def __call__(self, latlng: np.ndarray) -> np.ndarray:
        """Encodes coordinates.

        Args:
            latlng: degrees `[M, 2]`, latitude first.

        Returns:
            float32 `[M, E]`, not normalised; E is 512 for GeoCLIP.

        Raises:
            ValueError: a row is no place on Earth; names the row and its value.
        """
        places = project_on_host(check_latlng(latlng), self.config.projection)
        vectors = np.empty((len(places), self.config.width), np.float32)
        for first in range(0, len(places), BLOCK):
            rows = places[first : first + BLOCK]
            size = min(BLOCK, 1 << (len(rows) - 1).bit_length())
            block = np.zeros((size, places.shape[1]), np.float32)
            block[: len(rows)] = rows
            vectors[first : first + BLOCK] = _encode(self.config, self.params, block)[: len(rows)]
        return vectors


@partial(jax.jit, static_argnums=0)
def _encode(config: LocationEncoderConfig, params: Params, points: jax.Array) -> Any:
    places = PlanePoints(points[:, :2], points[:, 2:])
    return LocationEncoderModule(config).apply({"params": params}, places)


def _find_file(source: str, options: HubOptions) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    if path.is_dir():
        exported = path / EXPORTED_FILE
        return exported if exported.is_file() else location_encoder_file(path)
    published = find_published(PUBLISHED if source == "geoclip" else source)
    if published is not None:
        source = published.source
    elif not source.startswith(HUB):
        raise WeightsError(
            f"location encoder {source!r}: no such file or directory; expected one, "
            f'"{HUB}ORG/NAME" or "geoclip"'
        )
    patterns = ("config.json", "model.safetensors")
    return location_encoder_file(download(source, patterns, "location encoder", options))
