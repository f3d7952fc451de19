"""Checkpoints of a run: saved as one, checked when read, the newest and the best kept."""

import logging
import shutil
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.training import stored
from geosurge_jax.training.abandoned_io import abandoned_io_silenced, settle
from geosurge_jax.training.fingerprint import leaf_types
from geosurge_jax.training.read_back import read_back
from geosurge_jax.training.retention import NewestAndBest
from geosurge_jax.training.state import TrainState
from geosurge_jax.training.stopping import StoppedError
from geosurge_jax.training.stored import CheckpointError, DamagedError

LOG = logging.getLogger(__name__)

# Names of folders beside the checkpoints of a step: one being written, one being written again.
UNFINISHED = "orbax-checkpoint-tmp"
REPLACED = ".replaced"


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
    is removed at the next start. With several processes each makes one of these and calls the same methods.
    """

    def __init__(
        self,
        directory: Path,
        *,
        preprocessing: Preprocessing,
        keep: int,
        watched: str,
        minimize: bool,
    ) -> None:
        """Opens `directory`, which need not exist.

        Args:
            directory: absolute path.
            preprocessing: what the model expects of photos; saved with each checkpoint, and compared.
            keep: how many of the newest to keep.
            watched: name of the metric by which the best is chosen.
            minimize: whether less is better.
        """
        self._directory, self._name = directory, watched
        self._preprocessing = preprocessing
        self._silenced = ExitStack()
        self._silenced.enter_context(abandoned_io_silenced())
        if jax.process_index() == 0:
            _tidy(directory)
        stored.meet("geosurge_jax: checkpoints tidied")
        self._watched = stored.watched_values(directory)
        self._saving: int | None = None
        self._manager = ocp.CheckpointManager(
            directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=NewestAndBest(keep, minimize, self._watched)
            ),
        )
        self._proven = self.latest_step() is not None

    def latest_step(self) -> int | None:
        """Step of the newest whole checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, state: TrainState, progress: Progress, metrics: dict[str, float]) -> None:
        """Starts saving; returns once the arrays are safe from the next, donating step.

        A checkpoint of the same step is replaced; until the new one is whole the old one is kept, and this
        returns only then. The first checkpoint of a run is read back before this returns.

        Args:
            state: the state after `progress.step` steps.
            progress: loop and data position of the same instant.
            metrics: the newest evaluation; must hold the watched metric to count for "best".

        Raises:
            CheckpointError: this save, or the one before it, failed, or the first one cannot be read back.
        """
        self.wait()
        step = progress.step
        self._watched[step] = metrics.get(self._name)
        notes = stored.describe(state, asdict(progress), self._preprocessing, self._watched[step])
        replaces = step in self._manager.all_steps()
        if replaces:
            self._put_aside_to_replace(step)
        self._saving = step
        try:
            self._manager.save(step, args=stored.save_arguments(state, notes), force=True)
        except Exception as error:
            raise self._failure(error) from error
        if not self._proven:
            self.wait()
            read_back(self._directory / str(step), state)
            self._proven = True
        if replaces:
            self.wait()
            if jax.process_index() == 0:
                shutil.rmtree(self._directory / f"{step}{REPLACED}")

    def check(self) -> None:
        """Raises where the save under way has failed by now; never waits for it.

        Raises:
            CheckpointError: it failed.
        """
        if self._saving is not None and not self._manager.is_saving_in_progress():
            self.wait()

    def wait(self) -> None:
        """Waits for the save under way.

        Raises:
            CheckpointError: it failed.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._failure(error) from error
        self._saving = None

    def restore(self, abstract: TrainState) -> tuple[TrainState, Progress]:
        """Restores the newest sound checkpoint onto the shardings of `abstract`.

        Damaged ones that are newer are set aside to `damaged/` beside the checkpoints, with a warning.

        Raises:
            CheckpointError: no sound checkpoint is left; nothing is moved then.
            ValueError: the stored state has another structure or other shapes.
        """
        damaged: dict[int, str] = {}
        for step in reversed(self._manager.all_steps()):
            try:
                state, notes = stored.read(
                    self._directory / str(step), abstract, self._preprocessing
                )
            except DamagedError as error:
                damaged[step] = str(error)
                continue
            dropped = set(notes.types) - set(leaf_types(abstract))
            if dropped:
                raise ValueError(
                    f"{self._directory / str(step)}: {min(dropped)} is not expected: a checkpoint of "
                    f"another model"
                )
            if damaged:
                self._set_aside(damaged, step)
            return state, Progress(**notes.progress)
        raise CheckpointError(
            f"{self._directory}: no sound checkpoint is left ({stored.listed(damaged)}); to begin anew, "
            f"move this folder away or give another --workdir"
        )

    def close(self) -> None:
        """Waits for the save under way.

        Raises:
            CheckpointError: it failed.
        """
        with self._silenced, closing(self._manager):
            self.wait()

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except CheckpointError as error:
            if kind is None or issubclass(kind, StoppedError):
                raise  # a stopped run says that its state is saved
            # What already ends the run is what its user must read last.
            LOG.warning("%s", error)

    def _failure(self, error: Exception) -> CheckpointError:
        settle()
        failed, self._saving = self._saving, None
        whole = [step for step in stored.whole_steps(self._directory) if step != failed]
        left = (
            f"the last whole checkpoint is step {whole[-1]}" if whole else "there is no earlier one"
        )
        return CheckpointError(
            f"{self._directory}: the checkpoint of step {failed} could not be saved "
            f"({stored.cause(error)}); {left}; start again to go on from there"
        )

    def _put_aside_to_replace(self, step: int) -> None:
        if jax.process_index() == 0:
            (self._directory / str(step)).rename(self._directory / f"{step}{REPLACED}")
        stored.meet("geosurge_jax: checkpoint to be replaced")
        self._manager.reload()

    def _set_aside(self, damaged: dict[int, str], used: int) -> None:
        for step, reason in damaged.items():
            self._watched.pop(step, None)
            if jax.process_index() == 0:
                place = _free_place(self._directory.parent / "damaged", str(step))
                place.parent.mkdir(exist_ok=True)
                (self._directory / str(step)).rename(place)
                LOG.warning(
                    "%s is damaged (%s); moved to %s, step %d is used",
                    self._directory / str(step), reason, place, used,
                )  # fmt: skip
        stored.meet("geosurge_jax: damaged checkpoints set aside")
        self._manager.reload()


def _tidy(directory: Path) -> None:
    """Ends what a killed run had begun: unfinished saves go, one half replaced comes back."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        original = path.with_name(path.name.removesuffix(REPLACED))
        if UNFINISHED in path.name or (path != original and original.exists()):
            shutil.rmtree(path)
        elif path != original:
            path.rename(original)


def _free_place(folder: Path, name: str) -> Path:
    place, number = folder / name, 1
    while place.exists():
        number += 1
        place = folder / f"{name}-{number}"
    return place
