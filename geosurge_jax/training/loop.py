"""The one training loop: read, step, watch, evaluate, save."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from geosurge_jax.systems.contract import MetricSums
from geosurge_jax.training.checkpoint import Checkpointer, Progress
from geosurge_jax.training.milestones import LoopConfig, evaluation_due, finished, watch
from geosurge_jax.training.state import TrainState
from geosurge_jax.training.step import TrainStep
from geosurge_jax.training.stopping import StoppedError, StopRequests
from geosurge_jax.training.writer import MetricWriter


class Batches(Protocol):
    """An endless iterator over host batches whose position can be read and set."""

    def __next__(self) -> dict[str, np.ndarray]: ...
    def get_state(self) -> dict[str, Any]:
        """Where the iterator stands: `{"next_index": batches so far}`."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Moves the iterator to where `get_state` was."""
        ...


class NonFiniteLossError(RuntimeError):
    """The loss became infinite or not a number; carries the step and names the dump."""


# Positions in the split [B] -> ids of the photos.
RecordIds = Callable[[np.ndarray], Sequence[str]]
Evaluate = Callable[[TrainState], Mapping[str, float]]
# Called after each step with (step, loss) for a progress bar.
Report = Callable[[int, float], None]


def means(sums: MetricSums) -> dict[str, float]:
    """Fetches (sum, weight) pairs and divides; a metric of no weight is left out."""
    fetched = jax.device_get(sums)
    return {name: float(s) / float(w) for name, (s, w) in fetched.items() if w > 0}


@dataclass(frozen=True)
class DoneStep:
    """A step that was dispatched.

    Attributes:
        step: its number, 1 for the first.
        sums: its metrics, perhaps still being computed.
        batch: the host batch it saw.
    """

    step: int
    sums: MetricSums
    batch: Mapping[str, np.ndarray]


def check_finite(done: DoneStep, directory: Path, record_ids: RecordIds) -> float:
    """Fetches a step's mean loss; where it is not finite, saves the batch and raises.

    Args:
        done: the step.
        directory: where the dump goes.
        record_ids: names the photos of the batch.

    Returns:
        The mean loss.

    Raises:
        NonFiniteLossError: names the step, the photos by id, and the dump.
    """
    total, weight = (float(x) for x in jax.device_get(done.sums["loss"]))
    if math.isfinite(total):
        return total / max(weight, 1.0)
    part = f"-process-{jax.process_index()}" if jax.process_count() > 1 else ""
    dump = directory / f"nonfinite-step-{done.step}{part}.npz"
    arrays: dict[str, Any] = dict(done.batch)
    np.savez(dump, **arrays)
    raise NonFiniteLossError(
        f"step {done.step}: loss is {total}; the batch is saved in {dump}; its photos (of this process): "
        f"{', '.join(record_ids(done.batch['index']))}; lower config.optimizer.learning_rate, or set "
        f"config.optimizer.clip_norm"
    )


@dataclass(frozen=True)
class Training:
    """Everything the loop works with; none of it changes but the iterator, the disk and the terminal.

    Attributes:
        config: lengths and intervals.
        step: the jitted step.
        batches: endless host batches; positioned by the caller.
        put: host batch -> device batch.
        evaluate: state -> metrics by name.
        checkpointer: saves.
        writer: metrics out; None on other processes than 0.
        learning_rate: step -> rate, for the log.
        directory: workdir, for the dump of a non-finite loss.
        record_ids: names photos in the message of a non-finite loss.
        report: progress bar.
        stop: whether the run was asked to stop.
    """

    config: LoopConfig
    step: TrainStep
    batches: Batches
    put: Callable[[Mapping[str, np.ndarray]], dict[str, jax.Array]]
    evaluate: Evaluate
    checkpointer: Checkpointer
    writer: MetricWriter | None
    learning_rate: Callable[[int], Any]
    directory: Path
    record_ids: RecordIds
    report: Report
    stop: StopRequests

    def check(self, done: DoneStep) -> float:
        """Mean loss of a step; see `check_finite`."""
        return check_finite(done, self.directory, self.record_ids)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes metrics where this process is the one that does."""
        if self.writer is not None:
            self.writer.write(step, scalars)


def train(training: Training, state: TrainState, progress: Progress) -> tuple[TrainState, Progress]:
    """Trains from `progress` to the end.

    Everything that decides what the next step sees (state, data position, watched metric) is in the
    checkpoint, and noise depends on seed and step alone, so a run killed at any instant and started again
    ends in the same bits as an undisturbed one. A state that was saved before its evaluation, because the
    run was asked to stop, is evaluated first.

    Args:
        training: what to work with; its batches stand at `progress.next_index`.
        state: the state after `progress.step` steps; donated.
        progress: where the run stands.

    Returns:
        Final state and progress.

    Raises:
        NonFiniteLossError: at the first step whose loss is not finite; nothing of it is saved.
        StoppedError: the run was asked to stop; its state is saved.
    """
    with training.stop.deferred():
        return _train(training, state, progress)


def _train(
    training: Training, state: TrainState, progress: Progress
) -> tuple[TrainState, Progress]:
    config, previous = training.config, None
    logged = (progress.step, time.perf_counter())
    if evaluation_due(progress, config):
        progress = evaluate_and_save(training, state, progress)
    while not finished(progress, config):
        batch = next(training.batches)
        state, sums = training.step(state, training.put(batch))
        training.checkpointer.check()
        if previous is not None:
            # One step late: the device already works on the next step while the host looks at this one.
            training.report(previous.step, training.check(previous))
        position = training.batches.get_state()["next_index"]
        progress = replace(progress, step=progress.step + 1, next_index=position)
        previous = DoneStep(progress.step, sums, batch)
        if progress.step % config.log_every == 0 or progress.step == config.total_steps:
            logged = write_training_metrics(training, previous, logged)
        saves = progress.step % config.checkpoint_every == 0
        cause = training.stop.requested()
        if cause or saves or evaluation_due(progress, config):
            training.check(previous)
        if cause:
            training.checkpointer.save(state, progress, {})
            raise StoppedError(cause, progress.step)
        if evaluation_due(progress, config):
            progress = evaluate_and_save(training, state, progress)
        elif saves:
            training.checkpointer.save(state, progress, {})
    if previous is not None:
        training.report(previous.step, training.check(previous))
    return state, progress


def evaluate_and_save(training: Training, state: TrainState, progress: Progress) -> Progress:
    """Evaluates a state, notes what it says about the best one, and saves it.

    Raises:
        StoppedError: the run was asked to stop meanwhile; the state is saved, its evaluation still due.
    """
    try:
        metrics = training.evaluate(state)
    except StoppedError as stopped:
        if training.checkpointer.latest_step() != progress.step:
            training.checkpointer.save(state, progress, {})
        raise StoppedError(stopped.cause, progress.step) from None
    progress = watch(progress, metrics, training.config)
    training.write(progress.step, metrics)
    training.checkpointer.save(state, progress, dict(metrics))
    return progress


def write_training_metrics(
    training: Training, done: DoneStep, logged: tuple[int, float]
) -> tuple[int, float]:
    """Fetches and writes the metrics of a step, with the rate since the last written one.

    Args:
        training: gives writer and learning rate.
        done: the step.
        logged: step and time, in seconds, of the last written metrics.

    Returns:
        Step and time of these.
    """
    now = time.perf_counter()
    photos = len(done.batch["index"]) * jax.process_count() * (done.step - logged[0])
    scalars = {f"train/{name}": value for name, value in means(done.sums).items()}
    scalars["train/learning_rate"] = float(training.learning_rate(done.step - 1))
    scalars["train/photos_per_second"] = photos / (now - logged[1])
    training.write(done.step, scalars)
    return done.step, now
