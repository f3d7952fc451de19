"""Image towers back into the layout of Hugging Face, so that transformers and others load them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.interop.families import TOWER_FAMILIES
from geosurge_jax.interop.family import Family
from geosurge_jax.interop.part import find_sources, frozen_blocks, full_name
from geosurge_jax.interop.safetensors_file import write_safetensors
from geosurge_jax.models.tower import TowerConfig
from geosurge_jax.systems.contract import Params
from geosurge_jax.training.parameters import flatten


def write_tower(directory: Path, config: TowerConfig, params: Params) -> None:
    """Writes config.json, preprocessor_config.json and model.safetensors.

    Args:
        directory: made where it is missing.
        config: of the tower.
        params: its host arrays, float32 or bfloat16.

    Raises:
        OSError: a file cannot be written.
    """
    family = TOWER_FAMILIES[config.kind]
    described, preprocessor = family.write(config)
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in (("config.json", described), ("preprocessor_config.json", preprocessor)):
        (directory / name).write_text(json.dumps(content, indent=2) + "\n")
    tensors = to_tensors(params, family, config)
    write_safetensors(directory / "model.safetensors", tensors, {"format": "pt"})


def to_tensors(params: Params, family: Family, config: Any) -> dict[str, np.ndarray]:
    """The inverse of `load_part`: arrays under the first prefix of the family.

    Args:
        params: host arrays.
        family: how the part is laid out.
        config: of the part.

    Returns:
        Arrays by the name they have in the files of others.
    """
    flat = flatten(params)
    tensors: dict[str, np.ndarray] = {}
    shared: dict[str, dict[int, np.ndarray]] = {}
    for path, sources in find_sources(flat, family.entries(config), frozen_blocks(config)).items():
        for number, entry in enumerate(sources.entries):
            ours = np.asarray(flat[path])
            theirs = entry.transform.to_theirs(ours[number] if sources.stacked else ours)
            name = full_name(entry, family.prefixes[0])
            if entry.rows is None:
                tensors[name] = theirs
            else:
                shared.setdefault(name, {})[entry.rows[0]] = theirs
    for name, parts in shared.items():
        tensors[name] = np.concatenate([parts[first] for first in sorted(parts)])
    return tensors
