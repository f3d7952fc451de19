"""The folder of an exported model: everything that inference needs, without the run it came from.

| file | content |
|---|---|
| `config.json` | `model_type` "geosurge_jax", system and its config, decision rule, provenance, `run.json` |
| `parameters.safetensors` | every parameter by its path |
| `prepared.safetensors` | what the posterior needs besides them, such as a gallery's vectors |
| `geocells.npz` | the hierarchy, where the system has one |
| `location_data.npz` | what the system derived from training locations |
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from geosurge_jax.experiment.config_types import from_mapping
from geosurge_jax.experiment.trained_model import TrainedModel, read_provenance
from geosurge_jax.geo import load_hierarchy, save_hierarchy
from geosurge_jax.interop.exported_model import PARAMETERS, PREPARED
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted, read_json
from geosurge_jax.interop.parameters import load_safetensors, save_safetensors
from geosurge_jax.models.sharding import TABLE_AXES
from geosurge_jax.systems import SYSTEMS
from geosurge_jax.systems.contract import Params, Prepared
from geosurge_jax.training.parameters import flatten, unflatten
from geosurge_jax.training.state import plan_parameters

MODEL_TYPE, FORMAT_VERSION = "geosurge_jax", 1
DESCRIPTION, GEOCELLS, LOCATION_DATA = "config.json", "geocells.npz", "location_data.npz"


def is_export(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is an exported model's."""
    return config.get("model_type") == MODEL_TYPE


def write_exported(
    folder: Path,
    model: TrainedModel,
    params: Params,
    prepared: Prepared,
    metadata: Mapping[str, str],
    record: Mapping[str, Any],
) -> None:
    """Writes the folder that `open_exported` opens.

    Args:
        folder: exists.
        model: what is exported.
        params: its parameters as host arrays, in the type that is stored.
        prepared: what it precomputes, as host arrays.
        metadata: entries of the parameters' file.
        record: content of the run's `run.json`; empty for a model without a run.

    Raises:
        OSError: a file cannot be written.
    """
    save_safetensors(folder / PARAMETERS, params, metadata)
    save_safetensors(folder / PREPARED, prepared, {"system": model.system.name})
    if model.hierarchy is not None:
        save_hierarchy(folder / GEOCELLS, model.hierarchy)
    np.savez(folder / LOCATION_DATA, **model.location_data)  # pyright: ignore[reportArgumentType]
    description = {
        "model_type": MODEL_TYPE,
        "format_version": FORMAT_VERSION,
        "system_name": model.system.name,
        "system": dataclasses.asdict(model.config),
        "decision": model.decision,
        "decision_points": model.decision_points,
        "provenance": dataclasses.asdict(model.provenance),
        "run": dict(record),
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")


def open_exported(folder: Path, *, dtype: str | None, mesh: Mesh, source: str) -> TrainedModel:
    """Opens an exported model for inference.

    Args:
        folder: from `write_exported`.
        dtype: compute type, "float32" or "bfloat16"; None for the one that the system was trained with.
        mesh: devices that hold the parameters.
        source: name or folder that the caller opened.

    Raises:
        WeightsError: a file is missing, damaged or of another model; one line.
    """
    described = read_json(folder / DESCRIPTION)
    name = described.get("system_name")
    if described.get("format_version") != FORMAT_VERSION or name not in SYSTEMS:
        raise WeightsError(
            f"{folder / DESCRIPTION}: format_version={quoted(described.get('format_version'))}, "
            f"system_name={quoted(name)}: expected {FORMAT_VERSION} and one of {sorted(SYSTEMS)}"
        )
    try:
        config = from_mapping(SYSTEMS[name].config, described["system"], "system")
        provenance = read_provenance(described["provenance"], source)
        decision, points = str(described["decision"]), int(described["decision_points"])
        hierarchy = load_hierarchy(folder / GEOCELLS) if (folder / GEOCELLS).exists() else None
        location_data = _read_arrays(folder / LOCATION_DATA)
    except (KeyError, TypeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{folder}: not a whole exported model ({quoted(reason)})") from error
    config = with_compute_dtype(config, dtype)
    system = SYSTEMS[name].build(config, hierarchy, location_data)  # pyright: ignore[reportArgumentType]
    shapes = plan_parameters(system, mesh).abstract
    params = _place_parameters(folder / PARAMETERS, shapes)
    return TrainedModel(
        system=system,
        config=config,
        hierarchy=hierarchy,
        location_data=location_data,
        mesh=mesh,
        params=params,
        precompute=lambda params: _place_prepared(folder / PREPARED, mesh),
        decision=decision,
        decision_points=points,
        provenance=provenance,
    )


def with_compute_dtype(config: Any, dtype: str | None) -> Any:
    """Returns a system's config with another compute type; None keeps its own."""
    return config if dtype is None else dataclasses.replace(config, compute_dtype=dtype)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def _place_parameters(path: Path, shapes: Params) -> Params:
    """Parameters as float32 on the devices that hold them."""
    flat, wanted = flatten(load_safetensors(path)[0]), flatten(shapes)
    found = {name: array.shape for name, array in flat.items()}
    expected = {name: shape.shape for name, shape in wanted.items()}
    if found != expected:
        name = min(set(found.items()) ^ set(expected.items()))[0]
        raise WeightsError(
            f"{path}: {name} is {found.get(name, 'missing')}, expected {expected.get(name, 'no such array')}"
        )
    return unflatten(
        {
            name: jax.device_put(np.asarray(array, wanted[name].dtype), wanted[name].sharding)
            for name, array in flat.items()
        }
    )


def _place_prepared(path: Path, mesh: Mesh) -> Prepared:
    arrays, _ = load_safetensors(path)
    sharding = jax.NamedSharding(mesh, jax.P(TABLE_AXES))
    return {name: jax.device_put(array, sharding) for name, array in arrays.items()}
