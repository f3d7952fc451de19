"""Galleries of trained models: one of the user's own, and vectors that are encoded once for all processes."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from geosurge_jax import __version__
from geosurge_jax.experiment.inference_cache import stored_once
from geosurge_jax.experiment.trained_model import TrainedModel, on_mesh
from geosurge_jax.geo import read_places_csv
from geosurge_jax.systems import SYSTEMS
from geosurge_jax.systems.contract import Params, Prepared
from geosurge_jax.training.parameters import flatten

GALLERY = "gallery"
# Raised when the same encoder and places would give other vectors.
FORMAT = 2


def with_gallery(model: TrainedModel, path: Path) -> TrainedModel:
    """Returns the model with other places to choose from, each place once.

    Args:
        model: of a system with a gallery.
        path: CSV file with the columns LAT and LON, degrees.

    Raises:
        ValueError: the file is not a list of places, or the system has no gallery; one line.
    """
    if GALLERY not in model.location_data:
        raise ValueError(
            f"gallery={str(path)!r}: expected none, since the system {model.system.name!r} has no gallery"
        )
    try:
        places = np.unique(read_places_csv(path), axis=0)
    except ValueError as error:
        raise ValueError(f"gallery={str(path)!r}: {error}") from None
    location_data = {**model.location_data, GALLERY: places}
    system = SYSTEMS[model.system.name].build(model.config, model.hierarchy, location_data)  # pyright: ignore[reportArgumentType]
    return dataclasses.replace(
        model,
        system=system,
        location_data=location_data,
        precompute=on_mesh(system, model.mesh),
    )


def with_stored_gallery(model: TrainedModel, folder: Path) -> TrainedModel:
    """Returns the model with a `precompute` that keeps the gallery's vectors in a folder of a cache.

    Encoding 100,000 places costs far more than a prediction. The vectors depend on the location encoder and
    on the places alone; both go into the name of the file.
    """
    if GALLERY not in model.location_data:
        return model
    identity = hashlib.sha256(f"{FORMAT} {__version__} {jax.__version__} {model.config}".encode())
    for name, leaf in sorted(flatten(model.params["location"]).items()):
        identity.update(name.encode())
        identity.update(np.asarray(leaf).tobytes())
    identity.update(model.location_data[GALLERY].tobytes())
    name = f"gallery-{identity.hexdigest()[:32]}"
    shapes: Any = jax.eval_shape(model.system.prepare, model.params, {})

    def precompute(params: Params) -> Prepared:
        if params is not model.params:  # the name is that of the model's own
            return model.precompute(params)
        return stored_once(folder, name, lambda: model.precompute(params), shapes, model.mesh)

    return dataclasses.replace(model, precompute=precompute)
