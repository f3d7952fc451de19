"""From the name of a model to a `TrainedModel`: a run, an export, a release, a name on the hub."""

from pathlib import Path

import jax

from geosurge_jax.experiment import exported, galleries
from geosurge_jax.experiment.published_geoclip import open_geoclip
from geosurge_jax.experiment.trained_model import TrainedModel
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted, read_json
from geosurge_jax.interop.geoclip_release import (
    MODEL_TYPE,
    find_release,
    has_weight_files,
    is_release,
)
from geosurge_jax.interop.hub import HUB, HubOptions, download, model_directory
from geosurge_jax.serving.cache import cache_folder
from geosurge_jax.serving.catalogue import MODELS, find_published
from geosurge_jax.training.mesh import MeshConfig, make_mesh

# What inference needs of a folder on the hub; exports hold more.
PATTERNS = (
    "config.json",
    "model.safetensors",
    "parameters.safetensors",
    "prepared.safetensors",
    "*.csv",
    "*.npz",
)
DTYPES = ("float32", "bfloat16")


def open_trained_model(
    source: str,
    *,
    options: HubOptions,
    dtype: str | None = None,
    gallery: Path | None = None,
    backbone: str | None = None,
) -> TrainedModel:
    """Opens a model for inference on the devices of this process.

    Args:
        source: directory of a run, of an export, of a GeoCLIP release or of the `geoclip` package; a name of
            `geosurge_jax.serving.catalogue`; or "hf:ORG/NAME" with an optional "@REVISION".
        options: how files of the hub are fetched; nothing is fetched for a directory that has all it needs.
        dtype: compute type, "float32" or "bfloat16"; None for float32 on CPUs and elsewhere for what the
            system was trained with.
        gallery: CSV file of places that replaces the model's own gallery.
        backbone: directory or "hf:ORG/NAME" of the frozen CLIP of a GeoCLIP release; None for its folder
            `backbone/`, or else the name that the release states, on the hub.

    Raises:
        WeightsError: the model is not there, or a file of it is missing, damaged or of another model.
        ValueError: an option that the model does not have; one line each.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r}: expected one of {DTYPES}")
    if dtype is None and jax.default_backend() == "cpu":
        dtype = "float32"  # CPUs compute bfloat16 more slowly
    # A CPU is one device; more of them are simulated ones, for tests of programs of several devices.
    devices = jax.local_devices()
    mesh = make_mesh(MeshConfig(-1, 1, 1), devices[:1] if devices[0].platform == "cpu" else devices)
    folder = _folder(source, options)
    if (folder / "run.json").is_file():
        # Checkpoints and datasets need libraries that exports and releases do without, seconds of imports.
        from geosurge_jax.serving.open_run_directory import open_run_directory

        model = open_run_directory(folder, dtype, mesh)
    elif has_weight_files(folder) or is_release(_description(folder, source)):
        release = find_release(folder)
        clip = _backbone_folder(release.backbone_folder, release.backbone, backbone, options)
        model = open_geoclip(release, clip, dtype=dtype or DTYPES[0], mesh=mesh, source=source)
    else:
        model = exported.open_exported(folder, dtype=dtype, mesh=mesh, source=source)
        if gallery is None:
            return model  # its gallery's vectors lie beside its parameters
    if gallery is not None:
        model = galleries.with_gallery(model, gallery)
    return galleries.with_stored_gallery(model, cache_folder(options.cache_dir) / "galleries")


def _folder(source: str, options: HubOptions) -> Path:
    if Path(source).is_dir():
        return Path(source)
    published = find_published(source)
    if published is not None:
        return download(published.source, PATTERNS, "model", options)
    if source.startswith(HUB):
        return download(source, PATTERNS, "model", options)
    names = ", ".join(model.name for model in MODELS)
    raise WeightsError(
        f"model={source!r}: no such directory; expected a run directory, an exported model, a GeoCLIP "
        f'release, "{HUB}ORG/NAME", or one of {names}'
    )


def _description(folder: Path, source: str) -> dict[str, object]:
    """The folder's config.json, found to be that of a model that opens here."""
    if not (folder / "config.json").is_file():
        raise WeightsError(
            f"model={source!r}: holds neither run.json nor config.json; expected a run directory, an "
            "exported model or a GeoCLIP release"
        )
    config = read_json(folder / "config.json")
    if not is_release(config) and not exported.is_export(config):
        raise WeightsError(
            f"{folder / 'config.json'}: model_type={quoted(config.get('model_type'))}: expected "
            f"{exported.MODEL_TYPE!r} or {MODEL_TYPE!r}"
        )
    return config


def _backbone_folder(
    beside: Path | None, stated: tuple[str, str], chosen: str | None, options: HubOptions
) -> Path:
    if chosen is not None:
        return model_directory(chosen, "backbone", options)
    if beside is not None:
        return beside
    return model_directory(f"{HUB}{stated[0]}@{stated[1]}", "backbone", options)
