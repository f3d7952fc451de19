"""Parts of a model back into the layouts they were read from, so that transformers and others load them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.interop.family import Family
from geosurge_jax.interop.part import find_sources, frozen_blocks, full_name
from geosurge_jax.interop.safetensors_file import write_safetensors
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.systems.contract import Params
from geosurge_jax.training.parameters import flatten

# What tells transformers that the names and axes are torch's.
METADATA = {"format": "pt"}


def write_model(directory: Path, family: Family, config: Any, params: Params) -> None:
    """Writes config.json, preprocessor_config.json where the family has one, and model.safetensors.

    Args:
        directory: made where it is missing.
        family: an image or a text tower's.
        config: of the part.
        params: its host arrays, float32 or bfloat16.

    Raises:
        OSError: a file cannot be written.
    """
    described, preprocessor = family.write(config)
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in (("config.json", described), ("preprocessor_config.json", preprocessor)):
        if content is not None:
            (directory / name).write_text(json.dumps(content, indent=2) + "\n")
    tensors = to_tensors(
        params,
        family.entries(config),
        prefix=family.prefixes[0],
        frozen_blocks=frozen_blocks(config),
    )
    write_safetensors(directory / "model.safetensors", tensors, METADATA)


def to_tensors(
    params: Params, entries: Sequence[Entry], *, prefix: str = "", frozen_blocks: int = 0
) -> dict[str, np.ndarray]:
    """The inverse of `load_part`.

    Args:
        params: host arrays.
        entries: the map of the part.
        prefix: what its tensors' names begin with.
        frozen_blocks: how many blocks stand in the frozen stack.

    Returns:
        Arrays by the name they have in the files of others.
    """
    flat = flatten(params)
    tensors: dict[str, np.ndarray] = {}
    shared: dict[str, dict[int, np.ndarray]] = {}
    for path, sources in find_sources(flat, entries, frozen_blocks).items():
        for number, entry in enumerate(sources.entries):
            ours = np.asarray(flat[path])
            theirs = entry.transform.to_theirs(ours[number] if sources.stacked else ours)
            name = full_name(entry, prefix)
            if entry.rows is None:
                tensors[name] = theirs
            else:
                shared.setdefault(name, {})[entry.rows[0]] = theirs
    for name, parts in shared.items():
        tensors[name] = np.concatenate([parts[first] for first in sorted(parts)])
    return tensors
