"""`run.json`: what decides the bits of a run, written once at its start."""

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from geosurge_jax import __version__
from geosurge_jax.dataset.manifest import MANIFEST_FILE, Manifest, file_sha256
from geosurge_jax.dataset.reader import Dataset

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
SYNTHETIC_DATASET = (
    "planet"  # name of the synthetic Earth's dataset, and beginning of those derived from it
)
COMPILER_VARIABLES = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")

# `--xla_gpu_deterministic_ops` makes XLA choose kernels that give the same bits on each run and leaves out
# the timing-based choice among kernels, which can differ between two starts of one run. It changes nothing
# on CPU and TPU, whose programs are deterministic as they are.
DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"


def ask_for_determinism() -> None:
    """Adds XLA's deterministic flag to the environment; has to come before the first device is used."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_gpu_deterministic_ops" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {DETERMINISTIC_FLAG}".strip()


def code_versions() -> dict[str, str]:
    """Versions that decide the bits of a run; the commit where the code lies in a git checkout."""
    return {
        "geosurge_jax": __version__,
        "commit": _commit() or "unknown",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in LIBRARIES},
    }


def _commit() -> str:
    if shutil.which("git") is None:
        return ""
    return subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()


def environment(mesh: Mesh) -> dict[str, Any]:
    """Devices and compiler flags."""
    device = mesh.devices.flat[0]
    return {
        "platform": device.platform,
        "device_kind": device.device_kind,
        "mesh": dict(mesh.shape),
        "processes": jax.process_count(),
        "cores": os.cpu_count(),
        **{name: os.environ.get(name, "") for name in COMPILER_VARIABLES},
    }


def describe_run(config: Mapping[str, Any], dataset: Dataset, mesh: Mesh) -> dict[str, Any]:
    """The content of `run.json`.

    Args:
        config: the config file's mapping, seed included.
        dataset: what is trained on; its manifest holds the hashes of all shards.
        mesh: the devices.

    Returns:
        Sections config, data, code and environment.
    """
    return {
        "config": dict(config),
        "data": {
            "name": dataset.manifest.name,
            "version": dataset.manifest.version,
            "manifest_sha256": file_sha256(dataset.directory / MANIFEST_FILE),
            **_origin(dataset.manifest),
        },
        "code": code_versions(),
        "environment": environment(mesh),
    }


def _origin(manifest: Manifest) -> dict[str, Any]:
    """Returns whether a dataset is synthetic, and what made its segmentation maps."""
    source = manifest.source if isinstance(manifest.source, Mapping) else {}
    derived_from = source.get("dataset")
    original = derived_from["name"] if isinstance(derived_from, Mapping) else manifest.name
    origin: dict[str, Any] = {"synthetic": str(original).startswith(SYNTHETIC_DATASET)}
    segmentation = source.get("segmentation")
    if isinstance(segmentation, Mapping) and "model" in segmentation:
        origin["segmentation"] = segmentation["model"]
    return origin
