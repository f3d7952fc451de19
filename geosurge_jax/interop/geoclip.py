"""GeoCLIP's three parts on disk: location encoder, image head and logit scale (Vivanco Cepeda et al. 2023).

Each part is published twice with the same tensors: as a `.pth` file of its own (PyPI wheel, repository), and
under a prefix in the `model.safetensors` of a release folder. The readers take either file. Sizes are found
from the tensors. The maps go both ways, so the parts can be written in the same layouts.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from geosurge_jax.interop.families.transformer import linear
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.part import Part
from geosurge_jax.interop.safetensors_file import open_safetensors, write_safetensors
from geosurge_jax.interop.torch_file import open_torch
from geosurge_jax.interop.weight_map import Entry
from geosurge_jax.interop.writing import METADATA, to_tensors
from geosurge_jax.models.location_encoder import (
    HIDDEN_LAYERS,
    LocationEncoder,
    LocationEncoderConfig,
)
from geosurge_jax.models.projection_head import ProjectionHead, ProjectionHeadConfig
from geosurge_jax.systems.contract import Params

# Sizes that GeoCLIP was published with: what is expected of a file that lacks the tensors that tell.
CAPSULES, FREQUENCIES, HIDDEN, WIDTH = 3, 256, 1024, 512
IMAGE_WIDTH, IMAGE_HIDDEN = 768, 768

# Beginnings of the names in a release's model.safetensors.
LOCATION_PREFIX, IMAGE_PREFIX, LOGIT_SCALE = (
    "location_encoder.",
    "image_encoder.mlp.",
    "logit_scale",
)


def location_encoder_entries(config: LocationEncoderConfig) -> tuple[Entry, ...]:
    """Map of location_encoder_weights.pth."""
    entries: list[Entry] = []
    for index in range(len(config.sigmas)):
        path, name = f"capsules_{index}", f"LocEnc{index}"
        entries.append(Entry(f"{path}/frequencies", f"{name}.capsule.0.b"))
        # In their sequence the linear layers take turns with ReLUs, after the features at 0.
        for layer in range(HIDDEN_LAYERS):
            entries += linear(f"{path}/layers_{layer}", f"{name}.capsule.{1 + 2 * layer}")
        entries += linear(f"{path}/head", f"{name}.head.0")
    return tuple(entries)


def image_head_entries() -> tuple[Entry, ...]:
    """Map of image_encoder_mlp_weights.pth."""
    return (*linear("up", "0"), *linear("down", "2"))


def read_location_encoder(path: Path, projection: str) -> tuple[LocationEncoderConfig, Params]:
    """Reads the location encoder.

    Args:
        path: location_encoder_weights.pth, or the model.safetensors of a release.
        projection: that it was trained with, which it does not say: "equal_earth" for GeoCLIP's own,
            "web_mercator" for G3's.

    Returns:
        Choices and float32 parameters of a `LocationEncoder`. The sigmas of the choices are the powers of
        two nearest to what the stored frequencies deviate.

    Raises:
        WeightsError: not a state dict, or tensors missing, too many, of other shapes or not finite.
    """
    tensors = _open(path, LOCATION_PREFIX)
    config = LocationEncoderConfig(
        projection=projection,
        sigmas=_sigmas(tensors),
        frequencies=_rows(tensors, "LocEnc0.capsule.0.b", FREQUENCIES),
        hidden=_rows(tensors, "LocEnc0.capsule.1.weight", HIDDEN),
        width=_rows(tensors, "LocEnc0.head.0.weight", WIDTH),
    )
    entries = location_encoder_entries(config)
    return config, _load(
        path, "location encoder", tensors, entries, LocationEncoder(config), width=2
    )


def read_image_head(path: Path) -> tuple[ProjectionHeadConfig, Params]:
    """Reads the image head from image_encoder_mlp_weights.pth or the model.safetensors of a release.

    Returns:
        Choices and float32 parameters of a `ProjectionHead`.

    Raises:
        WeightsError: not a state dict, or tensors missing, too many, of other shapes or not finite.
    """
    tensors = _open(path, IMAGE_PREFIX)
    config = ProjectionHeadConfig(
        hidden=_rows(tensors, "0.weight", IMAGE_HIDDEN), width=_rows(tensors, "2.weight", WIDTH)
    )
    first = tensors.get("0.weight")
    width = IMAGE_WIDTH if first is None or first.ndim != 2 else first.shape[1]
    return config, _load(
        path, "image head", tensors, image_head_entries(), ProjectionHead(config), width
    )


def write_part(path: Path, params: Params, entries: tuple[Entry, ...]) -> None:
    """Writes a part as safetensors under its published names; the readers here take that form too.

    Args:
        path: NAME.safetensors.
        params: host arrays.
        entries: `location_encoder_entries(config)` or `image_head_entries()`.

    Raises:
        OSError: the file cannot be written.
    """
    write_safetensors(path, to_tensors(params, entries), METADATA)


def read_logit_scale(path: Path) -> float:
    """Reads the logarithm of what cosines are multiplied by.

    Args:
        path: logit_scale_weights.pth, or the model.safetensors of a release.

    Raises:
        WeightsError: it holds something else than one finite number.
    """
    tensors = _open(path, LOGIT_SCALE)
    values = [float(tensor.item()) for tensor in tensors.values() if tensor.size == 1]
    if len(tensors) != 1 or len(values) != 1 or not math.isfinite(values[0]):
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        raise WeightsError(f"{path}: holds {quoted(shapes)} {values}: expected one finite number")
    return values[0]


def _open(path: Path, prefix: str) -> dict[str, np.ndarray]:
    """Tensors of one part; of a file of several parts, those with the prefix, without it."""
    tensors = open_safetensors(path) if path.suffix == ".safetensors" else open_torch(path)
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): tensor for name, tensor in own.items()} if own else tensors


def _rows(tensors: Mapping[str, np.ndarray], name: str, default: int) -> int:
    """First dimension of a tensor, or `default` where it is missing or has none."""
    tensor = tensors.get(name)
    return default if tensor is None or not tensor.size else tensor.shape[0] if tensor.ndim else 1


def _sigmas(tensors: Mapping[str, np.ndarray]) -> tuple[float, ...]:
    """Sigma of each capsule that the file names; that of a capsule without frequencies does not matter."""
    capsules = {name.split(".")[0] for name in tensors if name.startswith("LocEnc")}
    sigmas = []
    for index in range(len(capsules) or CAPSULES):
        frequencies = tensors.get(f"LocEnc{index}.capsule.0.b", np.ones(1))
        squares = np.square(frequencies, dtype=np.float64)
        deviation = math.sqrt(squares.sum() / max(squares.size, 1))
        known = math.isfinite(deviation) and deviation > 0
        sigmas.append(2.0 ** round(math.log2(deviation)) if known else 1.0)
    return tuple(sigmas)


def _load(
    path: Path,
    name: str,
    tensors: Mapping[str, np.ndarray],
    entries: tuple[Entry, ...],
    module: nn.Module,
    width: int,
) -> Params:
    """Parameters of a module whose input is `[M, width]`; every tensor has to be there, and no other."""
    inputs = jax.ShapeDtypeStruct((1, width), jnp.float32)
    shapes: Any = jax.eval_shape(module.init, jax.random.key(0), inputs)["params"]
    return load_part(Part(name, path, tensors, entries, shapes))
