"""Image towers back into the layout of Hugging Face, so that transformers and others load them."""

import json
from pathlib import Path

from geosurge_jax.interop.families import TOWER_FAMILIES
from geosurge_jax.interop.loading import to_tensors
from geosurge_jax.interop.safetensors_file import write_safetensors
from geosurge_jax.models.tower import TowerConfig
from geosurge_jax.systems.contract import Params


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
