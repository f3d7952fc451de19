"""From a typed config to the things that a mode works with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from geosurge_jax.dataset.reader import Dataset, Split, open_dataset
from geosurge_jax.evaluation.evaluator import (
    Evaluator,
    make_answer,
    make_losses,
    make_predict,
    make_prepare,
)
from geosurge_jax.experiment import datasets
from geosurge_jax.experiment.experiment_config import ExperimentConfig
from geosurge_jax.experiment.feature_columns import check_features, with_photos
from geosurge_jax.experiment.geography import Geography
from geosurge_jax.geo import Hierarchy
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.evaluation import EvaluationBatches, Views, evaluation_batches
from geosurge_jax.systems import SYSTEMS
from geosurge_jax.systems.contract import Params, Prepared, System
from geosurge_jax.training.mesh import make_mesh, process_rows, put_batch
from geosurge_jax.training.optimizer import learning_rate, make_optimizer
from geosurge_jax.training.state import StatePlan, plan_state
from geosurge_jax.training.step import TrainStep, make_train_step


@dataclass(frozen=True)
class Model:
    """A system on a mesh: all that evaluation and prediction need beside parameters.

    Attributes:
        hierarchy: the geocells.
        system: built over them.
        mesh: the devices.
        evaluator: compiled scoring functions.
    """

    hierarchy: Hierarchy
    system: System
    mesh: Mesh
    evaluator: Evaluator


def open_run_dataset(config: ExperimentConfig) -> Dataset:
    """Makes the run's dataset where needed, and opens it.

    Raises:
        ValueError: one line that names what is missing or wrong.
    """
    return open_dataset(datasets.prepare(config.data))


def make_model(
    config: ExperimentConfig, geography: Geography, devices: Sequence[Any] | None = None
) -> Model:
    """Builds the system over the geocells and compiles nothing yet.

    Args:
        config: the experiment.
        geography: geocells and survey.
        devices: for the mesh; all that JAX sees, unless given.

    Raises:
        ValueError: sizes that do not fit the devices or each other, with the key.
    """
    mesh = make_mesh(config.mesh, devices)
    for key, size in (
        ("config.training.batch_size", config.training.batch_size // config.training.accumulation),
        ("config.evaluation.batch_size", config.evaluation.batch_size),
    ):
        if size % mesh.size:
            raise ValueError(
                f"{key}: {size} photos at a time do not split over the {mesh.size} devices of config.mesh"
            )
    entry = SYSTEMS[config.system_name]
    system = entry.build(config.system, geography.hierarchy, geography.survey)

    def put(batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        return put_batch(mesh, with_photos(batch))

    evaluator = Evaluator(
        config=config.evaluation,
        predict=make_predict(system, mesh, config.evaluation),
        answer=make_answer(system, mesh, config.evaluation),
        losses=make_losses(system, mesh),
        prepare=make_prepare(system, mesh, put),
        put=put,
    )
    return Model(geography.hierarchy, system, mesh, evaluator)


@dataclass(frozen=True)
class TrainingPlan:
    """A config's training step on a mesh; nothing is compiled yet.

    Attributes:
        state: shapes and shardings of the state, and how it is made.
        step: the jitted step.
        schedule: step -> learning rate.
        root_key: key of the run.
    """

    state: StatePlan
    step: TrainStep
    schedule: optax.Schedule
    root_key: jax.Array


def plan_training(
    config: ExperimentConfig, model: Model, total_steps: int, steps_per_epoch: int
) -> TrainingPlan:
    """Plans the training step of a config."""
    batch = model.system.probe
    schedule = learning_rate(config.optimizer, total_steps, steps_per_epoch)
    optimizer = make_optimizer(config.optimizer, schedule)
    plan = plan_state(
        model.system,
        optimizer,
        batch,
        model.mesh,
        averaged=config.training.average_decay > 0,
    )
    root_key = jax.random.key(config.seed)
    step = make_train_step(
        model.system,
        optimizer,
        plan,
        root_key,
        accumulation=config.training.accumulation,
        average_decay=config.training.average_decay,
    )
    return TrainingPlan(plan, step, schedule, root_key)


def views(config: ExperimentConfig, model: Model, crops: int) -> Views:
    """How evaluation and prediction look at photos."""
    return Views(
        batch_size=config.evaluation.batch_size,
        framing=model.system.preprocessing.framing,
        crops=crops,
        rows=process_rows(model.mesh, config.evaluation.batch_size),
        threads=config.data.threads,
    )


def scoring_batches(
    config: ExperimentConfig, model: Model, split: Split, crops: int
) -> EvaluationBatches:
    """Batches over every photo of a split once."""
    return evaluation_batches(
        split,
        views(config, model, crops),
        targets=model.system.targets,
        bad_records=BadRecords(split.name, len(split), config.data.max_bad_fraction),
    )


def prepare(
    config: ExperimentConfig, model: Model, params: Params, train: Callable[[], Split]
) -> Prepared:
    """What the posterior needs beside a photo; for a system with an index, a run over the training photos.

    Args:
        config: the experiment.
        model: its system.
        params: evaluation parameters.
        train: opens the training split; called for a system with an index alone.
    """
    if model.system.index_rows is None:
        return model.evaluator.prepare(params, None, None)
    split = train()
    check_features(model.system, params, split)
    batches = scoring_batches(config, model, split, crops=1)
    return model.evaluator.prepare(params, batches, split.latlng)


def steps_per_epoch(config: ExperimentConfig, split: Split) -> int:
    """Whole batches in the training split, at least one.

    Raises:
        ValueError: the split holds less than one batch.
    """
    steps = len(split) // config.training.batch_size
    if not steps:
        raise ValueError(
            f"config.training.batch_size={config.training.batch_size}: expected at most the "
            f"{len(split)} photos of the training split"
        )
    return steps
