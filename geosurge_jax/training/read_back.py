"""Reads the first checkpoint of a run back before training goes on.

Storage that loses what is written to it, or a path that Orbax cannot read, is found after minutes, not days.
"""

from pathlib import Path

import jax

from geosurge_jax.training import stored
from geosurge_jax.training.parameters import flatten, unflatten
from geosurge_jax.training.state import TrainState
from geosurge_jax.training.stored import CheckpointError, DamagedError

# Arrays that are read: few, so that neither time nor device memory grows with the model.
SAMPLE = 8


def read_back(checkpoint: Path, state: TrainState) -> None:
    """Compares a few parameters of a checkpoint on disk with the fingerprints of what was saved.

    Every process of the mesh calls this, and all agree on the result.

    Args:
        checkpoint: folder of a step whose save has finished.
        state: the state that was saved.

    Raises:
        CheckpointError: the checkpoint cannot be read, or holds other arrays or bits.
    """
    try:
        _compare(checkpoint, state)
    except (DamagedError, ValueError) as error:
        raise CheckpointError(
            f"{checkpoint}: was saved but cannot be read back ({error}); expected another --workdir, on "
            "storage that keeps what is written"
        ) from error


def _compare(checkpoint: Path, state: TrainState) -> None:
    flat = flatten({"trained": state.trained, "frozen": state.frozen})
    smallest = sorted(flat, key=lambda path: (flat[path].size, path))[:SAMPLE]
    sample = unflatten(
        {
            path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
            for path, leaf in flat.items()
            if path in smallest
        }
    )
    reason, notes, restored = None, None, None
    try:
        notes = stored.read_notes(checkpoint)
        stored.check_types(checkpoint, notes, state)
        restored = stored.read_arrays(checkpoint, sample)
    except DamagedError as error:
        reason = str(error)
    if not stored.all_processes(reason is None):
        raise DamagedError(reason or "another process could not read it")
    assert notes is not None
    stored.check_fingerprints(restored, notes)
