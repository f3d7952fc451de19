"""Checkpoints on disk, read and checked.

A checkpoint is a folder `STEP/` of two items that appear together or not at all: `state/`, the arrays, and
`progress/`, a JSON object of where the run stands, the type and fingerprint of every array, and a checksum
of the object itself. Nothing here writes or moves.
"""

import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils

from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.training.abandoned_io import abandoned_io_silenced
from geosurge_jax.training.fingerprint import fingerprints, leaf_types

STATE, NOTES = "state", "progress"
LONGEST_CAUSE = 160


class CheckpointError(RuntimeError):
    """A checkpoint could not be saved, or none could be read; says what is left."""


class DamagedError(Exception):
    """A checkpoint that cannot be read, or holds other bits than were saved; the message says why."""


@dataclass(frozen=True)
class Notes:
    """What a checkpoint says about itself.

    Attributes:
        progress: fields of the loop's progress.
        preprocessing: fields of what the model expects of photos.
        watched: value of the watched metric at this step; None where it was not evaluated.
        types: type and shape of each array by path, `float32[3,4]`.
        fingerprints: fingerprint of each array by path.
    """

    progress: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    watched: float | None
    types: Mapping[str, str]
    fingerprints: Mapping[str, int]

    def encode(self) -> dict[str, Any]:
        """The JSON object that is saved."""
        content = {
            "progress": dict(self.progress),
            "preprocessing": dict(self.preprocessing),
            "watched": self.watched,
            "types": dict(self.types),
            "fingerprints": dict(self.fingerprints),
        }
        return {**content, "crc32": _checksum(content)}

    @staticmethod
    def decode(content: Mapping[str, Any]) -> "Notes":
        """The inverse of `encode`.

        Raises:
            DamagedError: not such an object, or another one than was saved.
        """
        fields = {name: value for name, value in content.items() if name != "crc32"}
        if set(fields) != {"progress", "preprocessing", "watched", "types", "fingerprints"}:
            raise DamagedError(f"{NOTES}: unknown or missing entries, found {sorted(fields)}")
        if content.get("crc32") != _checksum(fields):
            raise DamagedError(f"{NOTES}: checksum of the JSON differs from the saved one")
        return Notes(**fields)


def _checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def describe(
    state: Any, progress: Mapping[str, Any], preprocessing: Preprocessing, watched: float | None
) -> Notes:
    """Notes about a state that is about to be saved."""
    expected = _as_json(preprocessing)
    return Notes(progress, expected, watched, leaf_types(state), fingerprints(state))


def _as_json(preprocessing: Preprocessing) -> dict[str, Any]:
    """As it comes back out of a JSON file."""
    return json.loads(json.dumps(asdict(preprocessing)))


def save_arguments(state: Any, notes: Notes) -> ocp.args.Composite:
    """What Orbax is asked to save as one."""
    return ocp.args.Composite(
        **{STATE: ocp.args.PyTreeSave(state), NOTES: ocp.args.JsonSave(notes.encode())}
    )


def whole_steps(directory: Path) -> list[int]:
    """Steps whose checkpoints were finished, ascending."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal())


def read_notes(checkpoint: Path) -> Notes:
    """Reads what a checkpoint says about itself.

    Raises:
        DamagedError: unreadable, or other bits than were saved.
    """
    try:
        content = ocp.JsonCheckpointHandler().restore(epath.Path(checkpoint / NOTES))
    except (OSError, ValueError) as error:
        raise DamagedError(f"{NOTES}: {cause(error)}") from error
    if not isinstance(content, dict):
        raise DamagedError(f"{NOTES}: not a JSON object")
    return Notes.decode(content)


def check_types(checkpoint: Path, notes: Notes, abstract: Any) -> None:
    """Compares sound notes with arrays that are to be read; the checkpoint may hold more.

    Raises:
        ValueError: the checkpoint is of another model; names the first array that differs.
    """
    for path, expected in leaf_types(abstract).items():
        found = notes.types.get(path, "no such array")
        if found != expected:
            raise ValueError(
                f"{checkpoint}: {path} is {found}, expected {expected}: a checkpoint of another model"
            )


def check_preprocessing(checkpoint: Path, notes: Notes, expected: Preprocessing) -> None:
    """Compares how photos were brought to the model in training with how they are to be now.

    Raises:
        ValueError: differently; names the first difference.
    """
    for name, value in _as_json(expected).items():
        found = notes.preprocessing.get(name)
        if found != value:
            raise ValueError(
                f"{checkpoint}: was trained with preprocessing.{name}={found}, expected {value}: photos "
                f"would look different to the model"
            )


def read_arrays(checkpoint: Path, abstract: Any) -> Any:
    """Reads arrays onto the shardings of `abstract`, unchecked.

    The handler is called by itself, without Orbax' barriers: a process that fails here can still tell
    the others.

    Args:
        checkpoint: its folder.
        abstract: pytree of `jax.ShapeDtypeStruct`, the state or a part of it.

    Raises:
        DamagedError: unreadable.
    """
    with abandoned_io_silenced():
        try:
            restored = ocp.PyTreeCheckpointHandler().restore(
                epath.Path(checkpoint / STATE),
                args=ocp.args.PyTreeRestore(
                    abstract,
                    restore_args=ocp.checkpoint_utils.construct_restore_args(abstract),
                    partial_restore=True,
                ),
            )
        except (MemoryError, jax.errors.JaxRuntimeError):
            raise  # of this machine, not of the file
        except Exception as error:  # whatever a parser makes of damaged bytes
            # Not chained: its frames would keep the abandoned reads alive.
            raise DamagedError(f"{STATE}: {cause(error)}") from None
    if any(not isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(restored)):
        raise DamagedError(f"{STATE}: an array is missing")
    return restored


def check_fingerprints(restored: Any, notes: Notes) -> None:
    """Compares restored arrays with the fingerprints that were taken before they were saved.

    Every process of the mesh calls this, and all find the same.

    Raises:
        DamagedError: names the first array that differs, and how many do.
    """
    found = fingerprints(restored)
    differing = [path for path, value in found.items() if notes.fingerprints[path] != value]
    if differing:
        raise DamagedError(
            f"{STATE}: {differing[0]} holds other bits than were saved ({len(differing)} of {len(found)} "
            f"arrays)"
        )


def cause(error: BaseException) -> str:
    """What is at the root of `error`, in one line; of a long chain of clauses the end, which says most."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip().splitlines() or [""])[0]
    line = re.sub(
        r"\s*\[[a-z_ ]+='.*", "", line
    )  # codes, whole specs and places in TensorStore's source
    clauses = line.split(": ")
    while len(clauses) > 1 and len(": ".join(clauses)) > LONGEST_CAUSE:
        clauses.pop(0)
    return f"{type(error).__name__}: {': '.join(clauses)[:LONGEST_CAUSE]}"


def read(checkpoint: Path, abstract: Any, preprocessing: Preprocessing) -> tuple[Any, Notes]:
    """Reads and checks; all processes agree whether it is sound.

    Raises:
        DamagedError: it is not.
        ValueError: it is of another model, or of one that expects something else of photos.
    """
    reason, notes, restored = None, None, None
    try:
        notes = read_notes(checkpoint)
        check_types(checkpoint, notes, abstract)
        check_preprocessing(checkpoint, notes, preprocessing)
        restored = read_arrays(checkpoint, abstract)
    except DamagedError as error:
        reason = str(error)
    if not all_processes(reason is None):
        raise DamagedError(reason or "another process could not read it")
    assert notes is not None
    check_fingerprints(restored, notes)
    return restored, notes


def watched_values(directory: Path) -> dict[int, float | None]:
    """The watched metric of each whole checkpoint; None where there is none or it cannot be read."""
    values = {}
    for step in whole_steps(directory):
        try:
            values[step] = read_notes(directory / str(step)).watched
        except DamagedError:
            values[step] = None
    return values


def rank(watched: dict[int, float | None], minimize: bool) -> list[int]:
    """Steps from best to worst, earlier first where equal; then those without a value, newest first."""
    sign = 1.0 if minimize else -1.0
    known = {step: v for step, v in watched.items() if v is not None and not math.isnan(v)}
    best_first = sorted(known, key=lambda step: (sign * known[step], step))
    return best_first + sorted(set(watched) - set(known), reverse=True)


def listed(damaged: dict[int, str]) -> str:
    """Damaged steps and what is wrong with each, for a message."""
    return ", ".join(f"step {step}: {reason}" for step, reason in damaged.items())


def meet(name: str) -> None:
    """Waits until every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def all_processes(fine: bool) -> bool:
    """Whether all is fine in every process; all of them ask."""
    if jax.process_count() == 1:
        return fine
    return bool(np.all(multihost_utils.process_allgather(np.asarray(fine))))
