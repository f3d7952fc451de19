"""`--mode=export`: a checkpoint for other programs: parameters, towers in their layout, a program to run."""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import multihost_utils

from geosurge_jax.experiment import assembly, terminal
from geosurge_jax.experiment.evaluate import restore_params
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import load_geography
from geosurge_jax.experiment.run_record import code_versions
from geosurge_jax.experiment.workdir import open_trained, read_record, write_json
from geosurge_jax.interop.exported_model import PARAMETERS, PREPARED
from geosurge_jax.interop.families import TOWER_FAMILIES
from geosurge_jax.interop.geoclip import location_encoder_entries, write_part
from geosurge_jax.interop.parameters import save_safetensors
from geosurge_jax.interop.stablehlo import write_artefact
from geosurge_jax.interop.writing import write_model
from geosurge_jax.systems.contract import Params, System
from geosurge_jax.training.parameters import flatten, unflatten
from geosurge_jax.training.stored import meet
from geosurge_jax.training.stored_parameters import save_parameters

ORBAX_FOLDER, TOWERS_FOLDER = "orbax", "towers"
LOCATION_ENCODER = "location_encoder.safetensors"


def run(raw: Mapping[str, Any], root: Path, dtype: str) -> None:
    """Writes `export/` in the workdir: parameters twice, parts as others lay them out, a StableHLO artefact.

    The folder appears whole or not at all, and replaces an earlier one.

    Args:
        raw: the config file's mapping; `evaluation.checkpoint` chooses the checkpoint.
        root: the workdir.
        dtype: float32 or bfloat16, the type of all floating parameters.

    Raises:
        ValueError: one line that names what is missing or wrong.
        CheckpointError: no sound checkpoint, or the parameters cannot be written.
        OSError: another file cannot be written.
    """
    config = parse(raw)
    workdir = open_trained(root, raw)
    model = assembly.make_model(config, load_geography(workdir))
    unfinished = workdir.root / ".export"
    first = jax.process_index() == 0
    with jax.set_mesh(model.mesh):
        params, step = restore_params(config, workdir, model)
        params = as_type(params, dtype)
        if first:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
        meet("geosurge_jax: export begun")
        save_parameters(unfinished / ORBAX_FOLDER, params)
        prepared = assembly.prepare(
            config, model, params, lambda: assembly.open_run_dataset(config).split("train")
        )
        host_params, host_prepared = on_host(params), on_host(prepared)
    if not first:
        return
    described = {
        "step": str(step),
        "system": config.system_name,
        "dtype": dtype,
        "preprocessing": json.dumps(dataclasses.asdict(model.system.preprocessing)),
        **code_versions(),
    }
    save_safetensors(unfinished / PARAMETERS, host_params, described)
    write_parts(unfinished, model.system, host_params)
    save_safetensors(unfinished / PREPARED, host_prepared, {"step": str(step)})
    write_artefact(unfinished, model.system, host_params, host_prepared)
    write_json(unfinished / "config.json", read_record(workdir)["config"])
    shutil.copyfile(workdir.geocells, unfinished / workdir.geocells.name)
    put_in_place(unfinished, workdir.export)
    terminal.CONSOLE.print(
        f"checkpoint of step {step} as {dtype} -> {workdir.export}", soft_wrap=True, highlight=False
    )


def write_parts(folder: Path, system: System, params: Params) -> None:
    """Writes what others use on its own: image towers as Hugging Face, a location encoder as GeoCLIP does."""
    flat = flatten(params)
    for path, tower in system.towers.items():
        part = {n.removeprefix(f"{path}/"): a for n, a in flat.items() if n.startswith(f"{path}/")}
        write_model(
            folder / TOWERS_FOLDER / path, TOWER_FAMILIES[tower.kind], tower, unflatten(part)
        )
    if system.location_encoder is not None:
        entries = location_encoder_entries(system.location_encoder)
        write_part(folder / LOCATION_ENCODER, params["location"], entries)


def as_type(params: Params, dtype: str) -> Params:
    """Floating parameters in `dtype`, rounded to nearest even; others as they are."""

    def cast(leaf: jax.Array) -> jax.Array:
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.jit(lambda tree: jax.tree.map(cast, tree))(params)


def on_host(params: Params) -> Params:
    """Whole arrays in host memory; with several processes every one gets all."""
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
