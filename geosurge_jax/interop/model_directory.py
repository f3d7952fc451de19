"""A model's directory as Hugging Face lays it out: configuration, preprocessing, and weights in files."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted, read_json
from geosurge_jax.interop.safetensors_file import open_safetensors
from geosurge_jax.interop.torch_file import open_torch

_PLAIN_NAME = re.compile(r"\w[\w.-]*", re.ASCII)

# In the order that they are looked for: a file of tensors, or an index of several such files.
_WEIGHT_FILES: tuple[tuple[str, Callable[[Path], dict[str, np.ndarray]], bool], ...] = (
    ("model.safetensors", open_safetensors, False),
    ("model.safetensors.index.json", open_safetensors, True),
    ("pytorch_model.bin", open_torch, False),
    ("pytorch_model.bin.index.json", open_torch, True),
)


@dataclass(frozen=True)
class StoredModel:
    """A model on disk; its tensors are read when they are looked at.

    Attributes:
        directory: where it lies.
        config: config.json.
        preprocessor: preprocessor_config.json, None where there is none.
        tensors: read-only arrays by the names that they have on disk.
        files: the file that each tensor comes from, by the same names.
    """

    directory: Path
    config: dict[str, Any]
    preprocessor: dict[str, Any] | None
    tensors: Mapping[str, np.ndarray]
    files: Mapping[str, Path]


def open_model(directory: Path) -> StoredModel:
    """Opens a model of which nothing is trusted; safetensors are preferred to files of torch.

    Raises:
        WeightsError: a file is missing, is not what its name says, or lies outside of the directory; the
            message names it.
    """
    if not directory.is_dir():
        raise WeightsError(f"{directory}: no such directory, one with config.json was expected")
    preprocessor = None
    if os.path.lexists(directory / "preprocessor_config.json"):
        preprocessor = read_json(_inside(directory, "preprocessor_config.json"))
    tensors, files = _open_weights(directory)
    return StoredModel(
        directory=directory,
        config=read_json(_inside(directory, "config.json")),
        preprocessor=preprocessor,
        tensors=tensors,
        files=files,
    )


def _open_weights(directory: Path) -> tuple[dict[str, np.ndarray], dict[str, Path]]:
    for name, read, is_index in _WEIGHT_FILES:
        # A broken link is there too: its target is missing, and not the weights' other form wanted.
        if os.path.lexists(directory / name):
            if is_index:
                return _open_shards(directory, name, read)
            tensors = read(_inside(directory, name))
            return tensors, dict.fromkeys(tensors, directory / name)
    names = ", ".join(name for name, _, _ in _WEIGHT_FILES)
    raise WeightsError(f"{directory}: no weights, one of {names} was expected")


def _open_shards(
    directory: Path, index: str, read: Callable[[Path], dict[str, np.ndarray]]
) -> tuple[dict[str, np.ndarray], dict[str, Path]]:
    weight_map = read_json(_inside(directory, index)).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise WeightsError(f"{directory / index}: no weight_map from tensors to files")
    tensors: dict[str, np.ndarray] = {}
    files: dict[str, Path] = {}
    for shard in weight_map.values():
        if not isinstance(shard, str) or not _PLAIN_NAME.fullmatch(shard):
            raise WeightsError(
                f"{directory / index}: shard {quoted(shard)}, the name of a file beside it was expected"
            )
    for shard in sorted(set(weight_map.values())):
        path = directory / shard
        for name, array in read(_inside(directory, shard)).items():
            if name in tensors:
                raise WeightsError(f"{path}: tensor {quoted(name)} is in {files[name]} too")
            tensors[name], files[name] = array, path
    for name, shard in weight_map.items():
        if files.get(name) != directory / shard:
            raise WeightsError(
                f"{directory / shard}: no tensor {quoted(name)}, which {index} promises"
            )
    return tensors, files


def _inside(directory: Path, name: str) -> Path:
    """The real path of a file in the directory; links may not lead out of it.

    In its cache Hugging Face links `models--ORG--NAME/snapshots/REVISION/FILE` to
    `models--ORG--NAME/blobs/HASH`; there they may lead as far as the model's folder.
    """
    path = directory / name
    root = directory.resolve()
    if root.parent.name == "snapshots" and root.parent.parent.name.startswith("models--"):
        root = root.parent.parent
    try:
        real = path.resolve(strict=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error
    if not real.is_relative_to(root):
        raise WeightsError(f"{path}: is a link that leads out of {root}")
    return real
