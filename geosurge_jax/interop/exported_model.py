"""Loads an exported model with nothing but JAX; this file travels with the model.

    from exported_model import load
    model = load("export")
    latlng, log_prob = model(image)

`image` is uint8 `[B, S, S, 3]`, brought to S pixels as `model.description["preprocessing"]` says (resize,
then the centre is cut out; mean and deviation are applied inside). From the shell, for photos that have been
saved as such an array: `python exported_model.py pixels.npy` writes `pixels.posterior.npz`.
"""

import importlib.util
import json
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

if importlib.util.find_spec("flatbuffers") is None:
    # jax.export reads artefacts with it and does not bring it along; a copy lies beside this file.
    sys.path.append(str(Path(__file__).parent))

ARTEFACT, PARAMETERS = "posterior.stablehlo", "parameters.safetensors"
PREPARED = "prepared.safetensors"
UNKNOWN_CLASS = 255
TYPES = {"F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16, "I32": np.int32}


@dataclass(frozen=True)
class ExportedModel:
    """A posterior over the Earth for each photo.

    Attributes:
        artefact: the deserialised program.
        params: its parameters, on the default device.
        prepared: what it needs beside them, such as a gallery's vectors; empty for many models.
        description: what the parameters' file says of itself: step, system, preprocessing, versions.
    """

    artefact: export.Exported
    params: Mapping[str, Any]
    prepared: Mapping[str, Any]
    description: Mapping[str, Any]

    def __call__(self, image: Any, segmentation: Any | None = None) -> tuple[jax.Array, jax.Array]:
        """Places photos.

        Args:
            image: uint8 `[B, S, S, 3]`.
            segmentation: class maps uint8 `[B, S, S]`, 255 = unknown; None where there are none.

        Returns:
            Support points in degrees, `[K, 2]` or, where each photo has its own, `[B, K, 2]`; and
            log-probabilities `[B, K]`.
        """
        if segmentation is None:
            segmentation = np.full(np.shape(image)[:3], UNKNOWN_CLASS, np.uint8)
        latlng, log_prob = self.artefact.call(self.params, self.prepared, image, segmentation)
        return latlng, log_prob


def load(folder: str | Path) -> ExportedModel:
    """Loads what `--mode=export` wrote."""
    artefact = export.deserialize(bytearray((Path(folder) / ARTEFACT).read_bytes()))
    params, description = read_tensors(Path(folder) / PARAMETERS)
    prepared, _ = read_tensors(Path(folder) / PREPARED)
    for name in ("preprocessing", "warnings"):
        description[name] = json.loads(description[name])
    return ExportedModel(artefact, params, prepared, description)


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays by their slash-joined paths as a nested dict, and the file's metadata."""
    content = np.memmap(path, np.uint8, "r")
    (length,) = struct.unpack("<Q", bytes(content[:8]))
    header = json.loads(bytes(content[8 : 8 + length]))
    description = header.pop("__metadata__", {})
    params: dict[str, Any] = {}
    for name, entry in header.items():
        first, end = (8 + length + offset for offset in entry["data_offsets"])
        array = content[first:end].view(TYPES[entry["dtype"]]).reshape(entry["shape"])
        *parts, last = name.split("/")
        place = params
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = jnp.asarray(array)
    return params, description


def main(arguments: list[str]) -> None:
    """Places the photos of a .npy file."""
    if len(arguments) != 1 or not arguments[0].endswith(".npy"):
        sys.exit("usage: python exported_model.py PIXELS.npy, uint8 [B, S, S, 3]")
    model = load(Path(__file__).parent)
    for warning in model.description["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    latlng, log_prob = model(np.load(arguments[0]))
    best = np.argmax(log_prob, axis=1)
    support = np.broadcast_to(latlng, (*np.shape(log_prob), 2))
    places = support[np.arange(len(best)), best]
    np.savez(arguments[0].removesuffix(".npy") + ".posterior.npz", latlng=latlng, log_prob=log_prob)
    for latitude, longitude in places:
        print(f"{latitude:.4f} {longitude:.4f}")


if __name__ == "__main__":
    main(sys.argv[1:])
