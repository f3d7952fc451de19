"""A run directory as a `TrainedModel`: its checkpoint, its geocells, and where it comes from."""

from collections.abc import Mapping
from typing import Any

import jax

from geosurge_jax.experiment import assembly
from geosurge_jax.experiment.experiment_config import ExperimentConfig
from geosurge_jax.experiment.geography import load_geography
from geosurge_jax.experiment.run_record import SYNTHETIC_DATASET
from geosurge_jax.experiment.trained_model import Provenance, TrainedModel, segmentation_source
from geosurge_jax.experiment.workdir import Workdir, read_record
from geosurge_jax.systems.contract import Params, Prepared
from geosurge_jax.training.parameters import split_frozen
from geosurge_jax.training.state import plan_parameters
from geosurge_jax.training.stored_parameters import restore_evaluation_params


def open_run(
    config: ExperimentConfig, workdir: Workdir, model: assembly.Model | None = None
) -> TrainedModel:
    """Opens a checkpoint of a run.

    Args:
        config: of the run; `evaluation.checkpoint` chooses the checkpoint, `mesh` the devices.
        workdir: the run directory.
        model: the same system on a mesh, where the caller has built it already.

    Raises:
        ValueError: one line that names what is missing or wrong.
        CheckpointError: no sound checkpoint.
    """
    geography = load_geography(workdir)
    if model is None:
        model = assembly.make_model(config, geography)
    built = model
    system, mesh = built.system, built.mesh
    with jax.set_mesh(mesh):
        shapes = plan_parameters(system, mesh).abstract
        params, step = restore_evaluation_params(
            workdir.checkpoints,
            *split_frozen(shapes, system.frozen_rules),
            system.preprocessing,
            averaged=config.training.average_decay > 0,
            which=config.evaluation.checkpoint,
            minimize=config.training.minimize,
        )

    def precompute(evaluated: Params) -> Prepared:
        with jax.set_mesh(mesh):
            return assembly.prepare(
                config, built, evaluated, lambda: assembly.open_run_dataset(config).split("train")
            )

    return TrainedModel(
        system=system,
        config=config.system,
        hierarchy=geography.hierarchy,
        location_data=geography.survey,
        mesh=mesh,
        params=params,
        precompute=precompute,
        decision=config.evaluation.decisions[0],
        decision_points=config.evaluation.decision_points,
        provenance=run_provenance(read_record(workdir), str(workdir.root), step),
    )


def run_provenance(record: Mapping[str, Any], source: str, step: int) -> Provenance:
    """Reads from the content of `run.json` where a trained model comes from.

    Args:
        record: content of `run.json`.
        source: directory that it was read from.
        step: training step of the parameters.
    """
    config, data = record["config"], record.get("data", {})
    made = data.get("segmentation")
    init_from = config["init_from"]
    return Provenance(
        name=config["name"],
        source=source,
        training_data=f"{data.get('name', 'unknown')} {data.get('version', '')}".strip(),
        synthetic=config["data"]["dataset"] == SYNTHETIC_DATASET or data.get("synthetic", False),
        step=step,
        license=data.get("license", ""),
        segmentation=None if made is None else segmentation_source(made),
        backbone=hub_backbone(init_from),
        text_encoder=init_from,
    )


def hub_backbone(source: str) -> tuple[str, str] | None:
    """Splits "hf:ORG/NAME@REVISION" into name and revision ("main" where none is given); None for others."""
    if not source.startswith("hf:"):
        return None
    name, _, revision = source.removeprefix("hf:").partition("@")
    return name, revision or "main"
