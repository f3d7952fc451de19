"""Checkpoints: one composite of state, data position and notes. The only file that knows Orbax."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from geosurge_jax.systems.contract import Params
from geosurge_jax.training.parameters import merge
from geosurge_jax.training.state import TrainState


@dataclass(frozen=True)
class Progress:
    """Where the run stands beside its state.

    Attributes:
        step: completed steps.
        next_index: position of the data iterator: the next batch to read.
        best: best value of the watched metric so far, or None before the first evaluation.
        best_step: step at which it was seen.
        evaluations_since_best: evaluations without improvement since then.
        evaluated_step: step of the newest evaluation, 0 before the first.
    """

    step: int = 0
    next_index: int = 0
    best: float | None = None
    best_step: int = 0
    evaluations_since_best: int = 0
    evaluated_step: int = 0


class Checkpointer:
    """Saves asynchronously and keeps the newest `keep` checkpoints and the best one.

    A save that is cut off at any instant leaves a temporary folder that does not count as a checkpoint and
    is removed at the next start.
    """

    def __init__(self, directory: Path, *, keep: int, watched: str, minimize: bool) -> None:
        """Opens `directory`, which need not exist.

        Args:
            directory: absolute path.
            keep: how many of the newest to keep.
            watched: name of the metric by which the best is chosen.
            minimize: whether less is better.
        """
        self._watched = watched
        policy = preservation_policy.AnyPreservationPolicy(
            [
                preservation_policy.LatestN(keep),
                preservation_policy.BestN(
                    get_metric_fn=lambda metrics: metrics[watched],
                    n=1,
                    reverse=minimize,
                    keep_checkpoints_without_metrics=False,
                ),
            ]
        )
        self._manager = ocp.CheckpointManager(
            directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policy,
                # The policy alone decides what is kept; this makes Orbax store the metrics it reads.
                best_fn=lambda metrics: metrics[watched],
                best_mode="min" if minimize else "max",
                cleanup_tmp_directories=True,
            ),
        )

    def latest_step(self) -> int | None:
        """Step of the newest whole checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, state: TrainState, progress: Progress, metrics: dict[str, float]) -> None:
        """Starts saving; returns once the arrays are safe from the next, donating step.

        Args:
            state: the state after `progress.step` steps.
            progress: loop and data position of the same instant.
            metrics: the newest evaluation; must hold the watched metric to count for "best".
        """
        watched = {name: value for name, value in metrics.items() if name == self._watched}
        self._manager.save(
            progress.step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeSave(state), progress=ocp.args.JsonSave(asdict(progress))
            ),
            metrics=watched or None,
        )

    def restore(self, abstract: TrainState) -> tuple[TrainState, Progress]:
        """Restores the newest checkpoint onto the shardings of `abstract`.

        Raises:
            ValueError: the stored state has another structure or other shapes.
        """
        step = self._manager.latest_step()
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeRestore(
                    abstract, restore_args=ocp.checkpoint_utils.construct_restore_args(abstract)
                ),
                progress=ocp.args.JsonRestore(),
            ),
        )
        return restored["state"], Progress(**restored["progress"])

    def close(self) -> None:
        """Waits for the save under way."""
        self._manager.wait_until_finished()
        self._manager.close()


def restore_evaluation_params(
    directory: Path, abstract: TrainState, *, which: str
) -> tuple[Params, int]:
    """Reads only what evaluation needs from a checkpoint; the optimiser's state stays on disk.

    Args:
        directory: the checkpoints of a run.
        abstract: shapes and shardings of the run's state.
        which: "best", "latest" or a step number.

    Returns:
        Parameters (averaged where the run averages) and the step they are of.

    Raises:
        FileNotFoundError: no whole checkpoint there, or not that step.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory}: no checkpoint here; train first")
    with ocp.CheckpointManager(
        directory, options=ocp.CheckpointManagerOptions(read_only=True)
    ) as manager:
        step = _choose_step(manager, directory, which)
        averaged = abstract.average is not None
        wanted: dict[str, Any] = {"frozen": abstract.frozen}
        wanted["average" if averaged else "trained"] = (
            abstract.average if averaged else abstract.trained
        )
        restored = manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeRestore(
                    wanted,
                    restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
                    partial_restore=True,
                )
            ),
        )["state"]
    return merge(restored["average" if averaged else "trained"], restored["frozen"]), step


def _choose_step(manager: ocp.CheckpointManager, directory: Path, which: str) -> int:
    steps = sorted(manager.all_steps())
    if not steps:
        raise FileNotFoundError(f"{directory}: no whole checkpoint here; train first")
    if which == "latest":
        return steps[-1]
    if which == "best":
        # Notes of the newest checkpoint, not Orbax' own ranking, so that both agree with the log.
        newest = manager.restore(
            steps[-1], args=ocp.args.Composite(progress=ocp.args.JsonRestore())
        )["progress"]
        if newest["best"] is None:
            return steps[-1]
        which = str(newest["best_step"])
    if int(which) not in steps:
        raise FileNotFoundError(
            f"{directory}: config.evaluation.checkpoint={which!r}: expected best, latest or one of {steps}"
        )
    return int(which)
