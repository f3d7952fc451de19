"""Parameters on disk without a run around them: out of its checkpoints, and bare."""

import logging
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.systems.contract import Params
from geosurge_jax.training import stored
from geosurge_jax.training.parameters import merge
from geosurge_jax.training.stored import CheckpointError, DamagedError

LOG = logging.getLogger(__name__)


def restore_evaluation_params(
    directory: Path,
    trained: Params,
    frozen: Params,
    preprocessing: Preprocessing,
    *,
    averaged: bool,
    which: str,
    minimize: bool,
) -> tuple[Params, int]:
    """Reads only what evaluation needs from a checkpoint; the optimiser's state stays on disk.

    A run may be training here meanwhile, so nothing is moved.

    Args:
        directory: the checkpoints of a run.
        trained: shapes and shardings of the trained parameters.
        frozen: shapes and shardings of the frozen ones, which are stored apart.
        preprocessing: what the model expects of images.
        averaged: whether the run keeps a moving average of the trained parameters, which is read then.
        which: "best", "latest" or a step number; the next in that order where one is damaged, but a step
            that is asked for by number has no next one.
        minimize: whether less of the watched metric is better.

    Returns:
        Parameters (averaged where the run averages) and the step they are of.

    Raises:
        FileNotFoundError: no whole checkpoint there, or not that step.
        CheckpointError: no sound one among those asked for.
        ValueError: the stored parameters are of another model, or of one that expects other photos.
    """
    part = "average" if averaged else "trained"
    wanted = {"frozen": frozen, part: trained}
    damaged: dict[int, str] = {}
    for step in _choose_steps(directory, which, minimize):
        try:
            restored, _ = stored.read(directory / str(step), wanted, preprocessing)
        except DamagedError as error:
            damaged[step] = str(error)
            continue
        if damaged and jax.process_index() == 0:
            LOG.warning("%s: damaged: %s; step %d is used", directory, stored.listed(damaged), step)
        return merge(restored[part], restored["frozen"]), step
    raise CheckpointError(
        f"{directory}: config.evaluation.checkpoint={which!r}: damaged: {stored.listed(damaged)}"
    )


def _choose_steps(directory: Path, which: str, minimize: bool) -> list[int]:
    steps = stored.whole_steps(directory)
    if not steps:
        raise FileNotFoundError(f"{directory}: no checkpoint here; train first")
    if which == "latest":
        return steps[::-1]
    if which == "best":
        return stored.rank(stored.watched_values(directory), minimize)
    if which not in map(str, steps):
        raise FileNotFoundError(
            f"{directory}: config.evaluation.checkpoint={which!r}: expected best, latest or one of {steps}"
        )
    return [int(which)]


def save_parameters(directory: Path, params: Params) -> None:
    """Writes bare parameters as an Orbax checkpoint, whole or not at all.

    Args:
        directory: absolute path that does not exist.
        params: nested dict of arrays; every process of their mesh calls this.

    Raises:
        CheckpointError: they could not be written.
    """
    try:
        with ocp.PyTreeCheckpointer() as writer:
            writer.save(directory, params)
    except Exception as error:
        raise CheckpointError(
            f"{directory}: could not be written ({stored.cause(error)})"
        ) from error


def restore_parameters(directory: Path) -> Params:
    """Reads what `save_parameters` wrote, as NumPy arrays in the types they were stored in."""
    with ocp.PyTreeCheckpointer() as reader:
        shapes = reader.metadata(directory).item_metadata.tree
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
        return reader.restore(directory, restore_args=as_numpy)
