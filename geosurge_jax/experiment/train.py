"""`--mode=train`: dataset, geocells, training with evaluation, and the report."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import jax

from geosurge_jax.dataset.reader import Dataset, Split
from geosurge_jax.evaluation.metrics import summarize
from geosurge_jax.experiment import assembly, evaluate, terminal
from geosurge_jax.experiment.experiment_config import ExperimentConfig, parse
from geosurge_jax.experiment.feature_columns import check_features
from geosurge_jax.experiment.geography import load_geography, make_geography, save_geography
from geosurge_jax.experiment.initialize import describe_weights, with_weights
from geosurge_jax.experiment.run_record import describe_run
from geosurge_jax.experiment.workdir import (
    Workdir,
    check_shared,
    claim,
    locked,
    open_for_training,
    write_text,
)
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.pipeline import TrainBatches, train_batches
from geosurge_jax.training import loop, milestones, processes
from geosurge_jax.training.checkpoint import Checkpointer, Progress
from geosurge_jax.training.layout import layout_report
from geosurge_jax.training.mesh import process_rows
from geosurge_jax.training.parameters import parameter_table
from geosurge_jax.training.random_streams import stream
from geosurge_jax.training.state import TrainState
from geosurge_jax.training.stopping import StopRequests, stop_requests
from geosurge_jax.training.writer import MetricWriter


def run(raw: Mapping[str, Any], root: Path) -> None:
    """Trains to the end, from where the workdir stands, then evaluates and reports.

    Args:
        raw: the config file's mapping.
        root: the workdir.

    Raises:
        ValueError: one line that names the key or file, the value and what was expected.
        NonFiniteLossError: training diverged.
        StoppedError: the run was asked to stop; what it had is saved.
    """
    config = parse(raw)
    workdir = open_for_training(root, raw)
    dataset = assembly.open_run_dataset(config)
    split = dataset.split("train")
    assembly.steps_per_epoch(config, split)
    with claimed(config, raw, workdir, dataset) as model, stop_requests() as stop:
        evaluate.batches_to_score(
            config, model, dataset
        )  # what cannot be scored is said before training
        with jax.set_mesh(model.mesh):
            train(config, workdir, model, split, dataset.split("validation"), stop)
        evaluate.evaluate_and_report(config, workdir, model, dataset, stop)


@contextmanager
def claimed(
    config: ExperimentConfig, raw: Mapping[str, Any], workdir: Workdir, dataset: Dataset
) -> Iterator[assembly.Model]:
    """Holds the workdir for this run: process 0 locks and claims it and makes the geocells, the others read.

    Yields:
        The model over the geocells.

    Raises:
        ValueError: the model cannot be built, another run is here, or this process does not see the
            workdir of process 0.
    """
    name = "the workdir is claimed"
    if not processes.is_first():
        processes.barrier(name)
        check_shared(workdir)
        yield assembly.make_model(config, load_geography(workdir))
        return
    if workdir.geocells.exists():
        geography = load_geography(workdir)
    else:
        geography = make_geography(config, dataset.split("train").latlng)
    model = assembly.make_model(config, geography)
    with locked(workdir):
        record = describe_run(raw, dataset, model.mesh)
        if not workdir.record.exists():
            shapes = jax.eval_shape(model.system.init, jax.random.key(0), model.system.probe)
            record["weights"] = describe_weights(config.init_from, model.system, shapes)
        claim(workdir, record)
        save_geography(workdir, geography)
        processes.barrier(name)
        yield model


def loop_config(config: ExperimentConfig, epoch: int) -> milestones.LoopConfig:
    """Lengths in steps."""
    training = config.training
    return milestones.LoopConfig(
        total_steps=training.total_steps(epoch),
        log_every=training.log_every,
        evaluate_every=training.evaluate_every or epoch,
        checkpoint_every=training.checkpoint_every,
        watched=training.watched,
        minimize=training.minimize,
        patience=training.patience,
    )


def restore_or_create(
    config: ExperimentConfig,
    model: assembly.Model,
    checkpointer: Checkpointer,
    plan: assembly.TrainingPlan,
) -> tuple[TrainState, Progress]:
    """Finds where a run starts.

    Precedence:

    1. The newest whole checkpoint of the workdir: state, data position and watched metric.
    2. The weights that `config.init_from` names for the image towers, and fresh parameters from `config.seed`
       for the rest, at step 0.
    """
    if checkpointer.latest_step() is not None:
        return checkpointer.restore(plan.state.abstract)
    return create_state(config, model, plan), Progress()


def create_state(
    config: ExperimentConfig, model: assembly.Model, plan: assembly.TrainingPlan
) -> TrainState:
    """The state at step 0: a function of the run's key and of the weights that it begins with."""
    state = plan.state.create(stream(plan.root_key, "init"))
    return with_weights(config.init_from, model.system, state, plan.state.abstract)


def train(
    config: ExperimentConfig,
    workdir: Workdir,
    model: assembly.Model,
    split: Split,
    validation: Split,
    stop: StopRequests,
) -> None:
    """Trains to the end; the results are in the workdir."""
    epoch = assembly.steps_per_epoch(config, split)
    lengths = loop_config(config, epoch)
    plan = assembly.plan_training(config, model, lengths.total_steps, epoch)
    shapes = plan.state.abstract
    table = parameter_table(shapes.trained, shapes.frozen)
    terminal.print_system(model.system, table, features=split.features is not None)
    if jax.process_index() == 0:
        write_text(workdir.layout, layout_report(plan.state.layout, model.mesh))
    with ExitStack() as opened:
        checkpointer = opened.enter_context(open_checkpointer(config, model, workdir))
        state, progress = restore_or_create(config, model, checkpointer, plan)
        check_features(model.system, state.evaluation_params(), split)
        batches = opened.enter_context(closing(open_batches(config, model, split)))
        batches.set_state({"next_index": progress.next_index})
        writer = None
        if jax.process_index() == 0:
            writer = opened.enter_context(
                closing(MetricWriter(workdir.root, progress.step, progress.evaluated_step))
            )
        report = opened.enter_context(
            terminal.training_progress(
                lengths.total_steps, progress.step, config.training.batch_size, lengths.log_every
            )
        )
        training = loop.Training(
            config=lengths,
            step=plan.step,
            batches=batches,
            put=model.evaluator.put,
            evaluate=lambda state: validate(config, model, split, validation, state, stop),
            checkpointer=checkpointer,
            writer=writer,
            learning_rate=plan.schedule,
            directory=workdir.root,
            record_ids=lambda index: [split.records[int(i)]["id"] for i in index],
            report=report,
            stop=stop,
        )
        loop.train(training, state, progress)


def open_checkpointer(
    config: ExperimentConfig, model: assembly.Model, workdir: Workdir
) -> Checkpointer:
    """Opens the workdir's checkpoints for writing."""
    return Checkpointer(
        workdir.checkpoints,
        preprocessing=model.system.preprocessing,
        keep=config.training.keep,
        watched=config.training.watched,
        minimize=config.training.minimize,
    )


def open_batches(config: ExperimentConfig, model: assembly.Model, split: Split) -> TrainBatches:
    """Starts the training batches of this process, at the first one."""
    return train_batches(
        split,
        batch_size=config.training.batch_size,
        framing=model.system.preprocessing.framing,
        augmentation=config.augmentation,
        seed=config.seed,
        targets=model.system.targets,
        bad_records=BadRecords("train", len(split), config.data.max_bad_fraction),
        rows=process_rows(model.mesh, config.training.batch_size),
        threads=config.data.threads,
        prefetch=config.data.prefetch,
    )


def validate(
    config: ExperimentConfig,
    model: assembly.Model,
    split: Split,
    validation: Split,
    state: TrainState,
    stop: StopRequests,
) -> dict[str, float]:
    """Scores the state on the validation split; names begin with `validation/`.

    Raises:
        StoppedError: the run was asked to stop.
    """
    params = state.evaluation_params()
    photos, means = model.evaluator.run(
        params,
        assembly.prepare(config, model, params, lambda: split),
        stop.check(assembly.scoring_batches(config, model, validation, crops=1)),
        validation.latlng,
    )
    summary = summarize(
        photos,
        protocol=config.evaluation.protocol,
        comparison=config.evaluation.comparison,
        bootstrap_samples=0,
    )
    values = {**means, **dict(summary.items())}
    return {f"validation/{name}": value for name, value in values.items()}
