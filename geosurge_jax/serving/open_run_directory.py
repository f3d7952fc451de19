"""A run directory for inference on the devices of this process."""

import dataclasses
from pathlib import Path

from jax.sharding import Mesh

from geosurge_jax.experiment import assembly
from geosurge_jax.experiment.experiment_config import ExperimentConfig, parse
from geosurge_jax.experiment.exported import with_compute_dtype
from geosurge_jax.experiment.geography import load_geography
from geosurge_jax.experiment.open_run import open_run
from geosurge_jax.experiment.trained_model import TrainedModel
from geosurge_jax.experiment.workdir import Workdir, read_record
from geosurge_jax.training.mesh import MeshConfig


def open_run_directory(folder: Path, dtype: str | None, mesh: Mesh) -> TrainedModel:
    """Opens a run by its directory alone: `run.json` holds its config.

    Args:
        folder: with `run.json`.
        dtype: compute type; None for the run's own.
        mesh: devices that hold the parameters, all of them replicas.

    Raises:
        ValueError: one line that names what is missing or wrong.
        CheckpointError: no sound checkpoint.
    """
    workdir = Workdir(folder.resolve())
    config = parse(read_record(workdir)["config"])
    adapted = for_inference(config, dtype, mesh.size)
    model = assembly.make_model(adapted, load_geography(workdir), [*mesh.devices.flat])
    return open_run(adapted, workdir, model)


def for_inference(config: ExperimentConfig, dtype: str | None, devices: int) -> ExperimentConfig:
    """Returns a run's config for the devices of this process, however many the run had."""
    return dataclasses.replace(
        config,
        system=with_compute_dtype(config.system, dtype),
        mesh=MeshConfig(-1, 1, 1),
        training=dataclasses.replace(config.training, batch_size=devices, accumulation=1),
        evaluation=dataclasses.replace(config.evaluation, batch_size=16 * devices),
    )
