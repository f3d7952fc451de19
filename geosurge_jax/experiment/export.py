"""`--mode=export`: a checkpoint for other programs, in the formats that are asked for."""

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import multihost_utils

from geosurge_jax.experiment import terminal
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.exported import with_compute_dtype, write_exported
from geosurge_jax.experiment.open_run import open_run
from geosurge_jax.experiment.run_record import code_versions
from geosurge_jax.experiment.trained_model import TrainedModel
from geosurge_jax.experiment.workdir import open_trained, read_record
from geosurge_jax.interop import geoclip_release
from geosurge_jax.interop.families import TOWER_FAMILIES
from geosurge_jax.interop.geoclip import location_encoder_entries, write_part
from geosurge_jax.interop.onnx_file import write_onnx
from geosurge_jax.interop.stablehlo import write_artefact
from geosurge_jax.interop.writing import write_model
from geosurge_jax.systems import SYSTEMS
from geosurge_jax.systems.contract import Params, System
from geosurge_jax.training.parameters import flatten, unflatten
from geosurge_jax.training.stored import meet
from geosurge_jax.training.stored_parameters import save_parameters

FORMATS = ("safetensors", "orbax", "stablehlo", "onnx", "geoclip")
DEFAULT_FORMATS = ("safetensors", "orbax", "stablehlo")
ORBAX_FOLDER, TOWERS_FOLDER, GEOCLIP_FOLDER = "orbax", "towers", "geoclip"
LOCATION_ENCODER = "location_encoder.safetensors"


def check_formats(formats: Sequence[str]) -> None:
    """Raises ConfigError for a format that there is none of."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ConfigError(
            f"--formats={','.join(formats)}: expected some of {', '.join(FORMATS)}, with commas between"
        )


def run(raw: Mapping[str, Any], root: Path, dtype: str, formats: Sequence[str]) -> None:
    """Writes `export/` in the workdir: what `Predictor` opens, and the other formats that are asked for.

    The folder appears whole or not at all, and replaces an earlier one.

    Args:
        raw: the config file's mapping; `evaluation.checkpoint` chooses the checkpoint.
        root: the workdir.
        dtype: float32 or bfloat16, the type of all floating parameters.
        formats: names in `FORMATS`; safetensors, which the others build on, are always written.

    Raises:
        ValueError: one line that names what is missing or wrong.
        CheckpointError: no sound checkpoint, or the parameters cannot be written.
        OSError: another file cannot be written.
    """
    check_formats(formats)
    workdir = open_trained(root, raw)
    model = open_run(parse(raw), workdir)
    if "geoclip" in formats:
        geoclip_backbone(model)  # before anything is written
    unfinished = workdir.root / ".export"
    first = jax.process_index() == 0
    with jax.set_mesh(model.mesh):
        params = as_type(model.params, dtype)
        if first:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
        meet("geosurge_jax: export begun")
        if "orbax" in formats:
            save_parameters(unfinished / ORBAX_FOLDER, params)
        prepared = model.precompute(params)
        host_params, host_prepared = on_host(params), on_host(prepared)
    if not first:
        return
    described = {
        "step": str(model.provenance.step),
        "system": model.system.name,
        "dtype": dtype,
        "preprocessing": json.dumps(dataclasses.asdict(model.system.preprocessing)),
        "warnings": json.dumps(model.provenance.warnings),
        **code_versions(),
    }
    write_exported(unfinished, model, host_params, host_prepared, described, read_record(workdir))
    write_parts(unfinished, model.system, host_params)
    if "stablehlo" in formats:
        write_artefact(unfinished, model.system, host_params, host_prepared)
    if "onnx" in formats:
        system = in_float32(model)
        write_onnx(unfinished, system, host_params, host_prepared, model.provenance.warnings)
    if "geoclip" in formats:
        write_geoclip(unfinished / GEOCLIP_FOLDER, model, host_params)
    put_in_place(unfinished, workdir.export)
    terminal.say(
        f"checkpoint of step {model.provenance.step} as {dtype} ({', '.join(formats)}) -> {workdir.export}"
    )


def in_float32(model: TrainedModel) -> System:
    """Returns the model's system with float32 as its compute type: ONNX runtimes know little else on CPUs."""
    config = with_compute_dtype(model.config, "float32")
    return SYSTEMS[model.system.name].build(config, model.hierarchy, model.location_data)  # pyright: ignore[reportArgumentType]


def write_parts(folder: Path, system: System, params: Params) -> None:
    """Writes image encoders in Hugging Face's layout, and a location encoder in GeoCLIP's."""
    flat = flatten(params)
    for path, tower in system.towers.items():
        part = {n.removeprefix(f"{path}/"): a for n, a in flat.items() if n.startswith(f"{path}/")}
        write_model(
            folder / TOWERS_FOLDER / path, TOWER_FAMILIES[tower.kind], tower, unflatten(part)
        )
    if system.location_encoder is not None:
        entries = location_encoder_entries(system.location_encoder)
        write_part(folder / LOCATION_ENCODER, params["location"], entries)


def geoclip_backbone(model: TrainedModel) -> tuple[str, str]:
    """Returns hub name and revision of the frozen CLIP, which GeoCLIP's release format does not hold.

    Raises:
        ConfigError: the system is another, or its CLIP was trained or did not come from the hub; one line.
    """
    if model.system.name != "geoclip":
        raise ConfigError(
            f"--formats=geoclip: expected a GeoCLIP, not the system {model.system.name!r}"
        )
    visual = model.config.visual
    if visual.kind != "clip" or visual.trained_blocks != 0 or model.provenance.backbone is None:
        raise ConfigError(
            "--formats=geoclip: expected a frozen CLIP of the hub (config.system.visual.kind='clip', "
            "config.system.visual.trained_blocks=0, config.init_from='hf:ORG/NAME@REVISION'), since the "
            "format names the image encoder and does not hold it"
        )
    return model.provenance.backbone


def write_geoclip(folder: Path, model: TrainedModel, params: Params) -> None:
    """Writes a release folder that the official `geoclip` package opens.

    Args:
        folder: does not exist yet.
        model: a GeoCLIP with a frozen CLIP of the hub.
        params: its parameters as host arrays.
    """
    folder.mkdir()
    geoclip_release.write_release(
        folder,
        params,
        model.config.location,
        model.location_data["gallery"],
        geoclip_backbone(model),
        dataclasses.asdict(model.provenance),
    )


def as_type(params: Params, dtype: str) -> Params:
    """Returns floating parameters in `dtype`, rounded to nearest even; others as they are."""

    def cast(leaf: jax.Array) -> jax.Array:
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.jit(lambda tree: jax.tree.map(cast, tree))(params)


def on_host(params: Params) -> Params:
    """Returns whole arrays in host memory; with several processes every one gets all."""
    if jax.process_count() == 1:
        return jax.device_get(params)
    return multihost_utils.process_allgather(params, tiled=True)


def put_in_place(finished: Path, place: Path) -> None:
    """Gives a finished folder its name; one that had it before goes only then."""
    old = place.with_name(f".{place.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    finished.rename(place)
    shutil.rmtree(old, ignore_errors=True)
