"""A part as another library computes it, small and random, frozen to a file so that it need not be there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent / "frozen"


@dataclass(frozen=True)
class Oracle:
    """A small model of another library, what it was given, and what it computed.

    Attributes:
        name: name of its frozen file.
        config: config.json of its directory.
        preprocessor: preprocessor_config.json, None where there is none.
        weights: model.safetensors, names as on disk.
        inputs: arrays by the name of our module's argument: image uint8 [B, H, W, 3] or tokens int32 [B, N].
        expected: float32 arrays by path in our module: the output of the submodule `blocks_00`, for
            example; blocks are counted through frozen and trained ones. Outputs of the whole part are
            `pooled` and `tokens`.
        source: library and version.
    """

    name: str
    config: dict[str, Any]
    preprocessor: dict[str, Any] | None
    weights: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    source: str

    def write_directory(self, directory: Path) -> Path:
        """Writes the model as its library does: config.json, preprocessor_config.json, model.safetensors."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.json").write_text(json.dumps(self.config))
        if self.preprocessor is not None:
            (directory / "preprocessor_config.json").write_text(json.dumps(self.preprocessor))
        weights = {name: np.ascontiguousarray(value) for name, value in self.weights.items()}
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
        return directory

    def freeze(self, folder: Path = FOLDER) -> Path:
        """Writes one compressed .npz."""
        folder.mkdir(exist_ok=True)
        described = {
            "config": self.config,
            "preprocessor": self.preprocessor,
            "source": self.source,
        }
        arrays = {"described": np.array(json.dumps(described))}
        for group in ("weights", "inputs", "expected"):
            arrays |= {f"{group}/{name}": value for name, value in getattr(self, group).items()}
        path = folder / f"{self.name}.npz"
        np.savez_compressed(path, **arrays)
        return path


def thaw(name: str, folder: Path = FOLDER) -> Oracle:
    """Reads what `Oracle.freeze` wrote."""
    groups: dict[str, dict[str, np.ndarray]] = {"weights": {}, "inputs": {}, "expected": {}}
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        described = json.loads(str(file["described"]))
        for key in file.files:
            group, _, rest = key.partition("/")
            if group in groups:
                groups[group][rest] = file[key]
    return Oracle(name=name, **described, **groups)
