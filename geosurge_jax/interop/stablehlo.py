"""A system as a StableHLO artefact: from pixels to posterior in a process that has only JAX."""

import inspect
import shutil
from pathlib import Path

import flatbuffers
import jax
import jax.numpy as jnp
from jax import export

from geosurge_jax.interop import exported_model
from geosurge_jax.systems.contract import Params, Prepared, System

PLATFORMS = ("cpu", "cuda", "tpu")


def export_posterior(system: System, params: Params, prepared: Prepared) -> bytes:
    """Serialises a system's posterior for any batch size and for CPUs, GPUs and TPUs.

    Parameters are an argument, not constants: a program with a gigabyte of constants compiles slowly, and
    the format ends at two gigabytes.

    Args:
        system: whose posterior it is.
        params: arrays or shapes; only shapes and types matter.
        prepared: what the posterior needs beside photo and parameters; arrays or shapes likewise.

    Returns:
        The artefact of `(params, prepared, image uint8 [B, H, W, 3], segmentation uint8 [B, H, W]) ->
        (latlng float32 [K, 2] or [B, K, 2], log_prob float32 [B, K])`. It loads with the version of JAX that
        made it and with newer ones.
    """
    side = system.preprocessing.image_size
    (batch,) = export.symbolic_shape("batch")

    def posterior(
        params: Params, prepared: Prepared, image: jax.Array, segmentation: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        photos = {"image": image, "segmentation": segmentation}
        answer = system.posterior(params, prepared, photos)
        return answer.latlng, answer.log_prob

    def shapes(tree: Params) -> Params:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)

    exported = export.export(jax.jit(posterior), platforms=PLATFORMS)(
        shapes(params),
        shapes(prepared),
        jax.ShapeDtypeStruct((batch, side, side, 3), jnp.uint8),
        jax.ShapeDtypeStruct((batch, side, side), jnp.uint8),
    )
    return bytes(exported.serialize())


def write_artefact(folder: Path, system: System, params: Params, prepared: Prepared) -> None:
    """Writes the artefact, and beside it what loads it with JAX alone.

    Args:
        folder: has, or will have, the parameters as safetensors.
        system: whose posterior it is.
        params: arrays or shapes, as they are in that file.
        prepared: likewise, as they are in the file of prepared arrays.
    """
    (folder / exported_model.ARTEFACT).write_bytes(export_posterior(system, params, prepared))
    (folder / "exported_model.py").write_text(inspect.getsource(exported_model))
    library = folder / "flatbuffers"
    library.mkdir()
    for source in sorted(Path(flatbuffers.__file__).parent.glob("*.py")):
        shutil.copyfile(source, library / source.name)
