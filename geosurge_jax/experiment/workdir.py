"""The workdir of a run: whose it is, and what lies where in it."""

import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geosurge_jax.experiment.config_types import ConfigError, flat_items
from geosurge_jax.experiment.paths import check_writable
from geosurge_jax.geo import atomic_file
from geosurge_jax.input.image_files import RUN_FILE
from geosurge_jax.training import processes

LOG = logging.getLogger("geosurge_jax.workdir")

# What a checkpoint depends on: these sections must agree wherever one is read.
MODEL_SECTIONS = ("system_name", "system", "geocells")


@dataclass(frozen=True)
class Workdir:
    """Places inside a workdir.

    Attributes:
        root: absolute path.
    """

    root: Path

    @property
    def record(self) -> Path:
        """What decides the bits of the run: config, data, code, environment."""
        return self.root / RUN_FILE

    @property
    def lock(self) -> Path:
        """Held by the process that trains here; says which that is or was."""
        return self.root / "run.lock"

    @property
    def geocells(self) -> Path:
        """The hierarchy of geocells."""
        return self.root / "geocells.npz"

    @property
    def survey(self) -> Path:
        """What the system takes from the training locations beside the geocells."""
        return self.root / "survey.npz"

    @property
    def layout(self) -> Path:
        """Where each parameter lies on the mesh, and by which rule."""
        return self.root / "layout.txt"

    @property
    def checkpoints(self) -> Path:
        """Orbax checkpoints, one folder a step."""
        return self.root / "checkpoints"

    @property
    def export(self) -> Path:
        """Bare parameters for other programs."""
        return self.root / "export"


def write_text(path: Path, content: str) -> None:
    """Writes a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(content.encode())


def write_json(path: Path, content: Any) -> None:
    """Writes JSON whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def differences(old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> list[str]:
    """Lines `key.a.b: old -> new` for every value that differs between two nested mappings."""
    old_flat = flat_items(json.loads(json.dumps(old)), key)
    new_flat = flat_items(json.loads(json.dumps(new)), key)
    return [
        f"{name}: {old_flat.get(name, '(absent)')!r} -> {new_flat.get(name, '(absent)')!r}"
        for name in sorted({*old_flat, *new_flat})
        if old_flat.get(name, "(absent)") != new_flat.get(name, "(absent)")
    ]


def check_started_alike(started: Mapping[str, Any]) -> None:
    """Raises ConfigError where this process was started with other values than process 0.

    All processes wait for each other here, so that nothing is written for a run that cannot be.
    """
    first = json.loads(processes.from_first("started", lambda: json.dumps(started)))
    lines = [line.removeprefix(".") for line in differences(first, started, "")]
    if lines:
        raise ConfigError(
            "the processes of a run have to be started alike, but this one differs from process 0:\n  "
            + "\n  ".join(lines)
        )
    processes.barrier("started alike")


def check_shared(workdir: Workdir) -> None:
    """Raises ConfigError on a process that does not see what process 0 has put into the workdir."""
    for file in (workdir.record, workdir.survey, workdir.geocells):
        if not file.exists():
            raise ConfigError(
                f"--workdir={workdir.root}: {file.name}, written by process 0, is not here; expected "
                "storage that all hosts see under this path"
            )


def open_for_training(root: Path, config: Mapping[str, Any]) -> Workdir:
    """Opens a workdir that is free or already this config's; writes nothing yet.

    Evaluation settings may differ from the first start's, which do not touch training, and so may the
    mesh, which touches the order of sums alone: a run goes on with the devices that there are.

    Raises:
        ConfigError: the workdir belongs to another config; the message holds the differences. Or nothing
            can be written there.
    """
    workdir = Workdir(root.resolve())
    check_writable(workdir.root)
    if workdir.record.exists():
        old = read_record(workdir)["config"]
        sections = sorted({*old, *config} - {"evaluation", "mesh"})
        _refuse(workdir, _chosen(old, sections), _chosen(config, sections))
    return workdir


def claim(workdir: Workdir, record: Mapping[str, Any]) -> None:
    """Makes a free workdir the home of a run; otherwise says what has changed since it began.

    Args:
        workdir: free, or opened by `open_for_training`.
        record: what `describe_run` says now.

    Raises:
        ConfigError: the run was trained on other data.
    """
    if not workdir.record.exists():
        write_json(workdir.record, dict(record))
        return
    began = read_record(workdir)
    other_data = differences(began["data"], record["data"], "data")
    if other_data:
        raise ConfigError(
            f"--workdir={workdir.root} was trained on other data (config.data; train in another "
            f"--workdir):\n  " + "\n  ".join(other_data)
        )
    for section in ("code", "environment"):
        for line in differences(began[section], record[section], section):
            LOG.warning("bits may differ from here on, since the run began with another %s", line)


def read_record(workdir: Workdir) -> dict[str, Any]:
    """The content of `run.json`.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        return json.loads(workdir.record.read_text())
    except json.JSONDecodeError as error:
        raise ConfigError(f"{workdir.record}: not readable as JSON ({error})") from None


@contextmanager
def locked(workdir: Workdir) -> Iterator[None]:
    """Keeps a second run out of the workdir while the block runs; a killed run's lock is free.

    Raises:
        ConfigError: another process trains here.
    """
    workdir.root.mkdir(parents=True, exist_ok=True)
    with workdir.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ConfigError(
                f"--workdir={workdir.root}: another run is at work here ({file.read().strip()}); wait for "
                f"it, stop it, or give another --workdir"
            ) from None
        except OSError as error:
            LOG.warning(
                "%s: this file system has no locks (%s); two runs here would spoil each other's files",
                workdir.lock,
                error,
            )
        file.truncate(0)
        file.write(f"host {socket.gethostname()}, process {os.getpid()}\n")
        file.flush()
        yield


def open_trained(root: Path, config: Mapping[str, Any]) -> Workdir:
    """Opens the workdir of a run for reading its checkpoints and writing results beside them.

    Raises:
        ConfigError: no run there, or its model is another one; the message holds the differences. Or nothing
            can be written there.
    """
    workdir = Workdir(root.resolve())
    if not workdir.record.exists():
        raise ConfigError(f"--workdir={root}: no run here (run.json is missing); train first")
    check_writable(workdir.root)
    old = read_record(workdir)["config"]
    _refuse(workdir, _chosen(old, MODEL_SECTIONS), _chosen(config, MODEL_SECTIONS))
    return workdir


def _chosen(config: Mapping[str, Any], sections: Sequence[str]) -> dict[str, Any]:
    return {name: config[name] for name in sections if name in config}


def _refuse(workdir: Workdir, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    lines = differences(old, new, "config")
    if lines:
        raise ConfigError(
            f"--workdir={workdir.root} belongs to another config (give the one it was trained with, or "
            f"another --workdir):\n  " + "\n  ".join(lines)
        )
