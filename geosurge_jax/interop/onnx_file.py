"""A system as an ONNX model: from pixels to posterior with onnxruntime and Pillow alone."""

import importlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.systems.contract import Params, Prepared, System

MODEL, DESCRIPTION = "posterior.onnx", "posterior.onnx.json"
INPUTS, OUTPUTS = ("image", "segmentation"), ("latlng", "log_prob")
UNKNOWN_CLASS = 255
# Absolute and relative; of degrees and of natural logarithms.
TOLERANCE = 1e-4


class OnnxError(ValueError):
    """The model cannot be written as ONNX, or onnxruntime computes something else; one line."""


def write_onnx(
    folder: Path,
    system: System,
    params: Params,
    prepared: Prepared,
    warnings: Sequence[str] = (),
) -> None:
    """Write a system's posterior as `posterior.onnx`, and its preprocessing as `posterior.onnx.json`.

    The model maps `image uint8 [B, S, S, 3]` and `segmentation uint8 [B, S, S]` of any batch size to `latlng
    float32 [K, 2]` or `[B, K, 2]` in degrees and `log_prob float32 [B, K]`. Parameters and prepared arrays
    are part of it, as float32; a large model keeps them in `posterior.onnx.data`, as the format ends at 2 GB.

    Args:
        folder: an existing directory.
        system: the system; its compute type must be float32.
        params: parameters in host memory.
        prepared: prepared arrays in host memory.
        warnings: what a person has to know of every answer of the model.

    Raises:
        OnnxError: jax2onnx or onnxruntime is not installed, the system holds an operation that one of them
            does not support, or onnxruntime's results on a random batch differ from JAX's.
    """
    with _quiet("jax2onnx"):
        converter, runtime = _library("jax2onnx"), _library("onnxruntime")
    params, prepared = _as_float32(params), _as_float32(prepared)

    def posterior(image: jax.Array, segmentation: jax.Array) -> tuple[jax.Array, jax.Array]:
        batch = {"image": image, "segmentation": segmentation}
        answer = system.posterior(params, prepared, batch)
        return answer.latlng, answer.log_prob

    side = system.preprocessing.image_size
    (batch,) = jax.export.symbolic_shape("B")
    # On the CPU, as accelerators round the factors of a matrix product.
    with jax.default_device(jax.devices("cpu")[0]), _quiet("onnx_ir"), _quiet("jax2onnx"):
        try:
            converter.to_onnx(
                posterior,
                [
                    jax.ShapeDtypeStruct((batch, side, side, 3), jnp.uint8),
                    jax.ShapeDtypeStruct((batch, side, side), jnp.uint8),
                ],
                model_name=f"geosurge_jax {system.name}",
                return_mode="file",
                output_path=folder / MODEL,
                input_names=INPUTS,
                output_names=OUTPUTS,
            )
        # jax2onnx raises whatever it likes where an operation is unknown to it.
        except Exception as error:
            raise OnnxError(
                f"{system.name}: jax2onnx cannot write it as ONNX: {_first_line(error)}"
            ) from error
        _check(runtime, folder / MODEL, system, posterior)
    description = json.dumps({**describe(system), "warnings": [*warnings]}, indent=2)
    (folder / DESCRIPTION).write_text(description + "\n")


def describe(system: System) -> dict[str, Any]:
    """Return what a person with onnxruntime and Pillow needs to know of the model, as JSON values."""
    side = system.preprocessing.image_size
    return {
        "model": MODEL,
        "system": system.name,
        "preprocessing": _describe_preprocessing(system.preprocessing),
        "inputs": {
            "image": {"type": "uint8", "shape": ["B", side, side, 3], "layout": "NHWC"},
            "segmentation": {
                "type": "uint8",
                "shape": ["B", side, side],
                "meaning": "ADE20K class of each pixel, 0 to 149, framed like the image",
                "unknown": UNKNOWN_CLASS,
            },
        },
        "outputs": {
            "latlng": {
                "type": "float32",
                "shape": "[K, 2], or [B, K, 2] where each image has its own places",
                "meaning": "latitude and longitude of the places in degrees, WGS84",
            },
            "log_prob": {
                "type": "float32",
                "shape": "[B, K]",
                "meaning": "natural logarithm of the probability of each place; each row sums to 1",
            },
        },
    }


def _describe_preprocessing(preprocessing: Preprocessing) -> dict[str, Any]:
    """Describe the way from an image file to the model's input in the order of its steps."""
    resized = round(preprocessing.image_size * preprocessing.resize_ratio)
    resize = {
        "short": f"the short side becomes {resized} pixels; the long side becomes "
        f"int({resized} * long / short)",
        "stretch": f"both sides become {resized} pixels",
    }
    return {
        "orientation": "apply the EXIF orientation (PIL.ImageOps.exif_transpose)",
        "colour_order": "RGB",
        "resize": preprocessing.resize,
        "resize_meaning": resize[preprocessing.resize],
        "resized_size": resized,
        "interpolation": preprocessing.interpolation,
        "interpolation_meaning": "the filter of PIL.Image.Resampling with this name",
        "crop": "centre",
        "crop_meaning": "left = (width - size) // 2, top = (height - size) // 2",
        "size": preprocessing.image_size,
        "normalized_by": "the model",
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.deviation),
        "views": 1,
        "views_meaning": "further crops of an image are further rows of the batch; average exp(log_prob)",
    }


def _check(runtime: ModuleType, path: Path, system: System, posterior: Any) -> None:
    """Raise OnnxError unless onnxruntime computes what JAX computes on a random batch of three images."""
    side, rng = system.preprocessing.image_size, np.random.default_rng(0)
    image = rng.integers(0, 256, (3, side, side, 3)).astype(np.uint8)
    segmentation = rng.integers(0, 150, (3, side, side)).astype(np.uint8)
    expected = jax.device_get(jax.jit(posterior)(image, segmentation))
    options = runtime.SessionOptions()
    options.log_severity_level = (
        3  # jax2onnx leaves constants that nothing reads, each worth a warning
    )
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        actual = session.run(OUTPUTS, {"image": image, "segmentation": segmentation})
    # onnxruntime has an exception class for each of its status codes, all derived from Exception alone.
    except Exception as error:
        raise OnnxError(
            f"{system.name}: onnxruntime cannot run {path.name}: {_first_line(error)}"
        ) from error
    for name, ours, theirs in zip(OUTPUTS, expected, actual, strict=True):
        if ours.shape != theirs.shape:
            raise OnnxError(
                f"{path.name}: {name}: onnxruntime returns shape {theirs.shape}, JAX {ours.shape}"
            )
        if not np.allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE):
            difference = float(np.abs(ours - theirs).max())
            raise OnnxError(
                f"{path.name}: {name}: onnxruntime and JAX differ by {difference:.3g}: expected at most "
                f"{TOLERANCE:g}, absolute or relative"
            )


def _library(name: str) -> ModuleType:
    """Import an optional library or raise OnnxError naming the extra that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OnnxError(
            f'{error.name or name} is not installed: ONNX needs pip install "geosurge_jax[onnx]"'
        ) from error


def _as_float32(tree: Params) -> Params:
    """Return floating arrays as float32: onnxruntime has few operations of other types on CPUs."""

    def cast(leaf: Any) -> np.ndarray:
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        return np.asarray(leaf).astype(np.float32) if floating else np.asarray(leaf)

    return jax.tree.map(cast, tree)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's logger from printing warnings meant for the authors of a converter."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message, with its type."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"
