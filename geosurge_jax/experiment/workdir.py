"""The workdir of a run: whose it is, and what lies where in it."""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from geosurge_jax import __version__
from geosurge_jax.experiment.config_types import ConfigError, flat_items
from geosurge_jax.geo import atomic_file

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
    def config(self) -> Path:
        """The run's config as JSON."""
        return self.root / "config.json"

    @property
    def versions(self) -> Path:
        """Versions of the code and its libraries at the start of the run."""
        return self.root / "versions.json"

    @property
    def geocells(self) -> Path:
        """The hierarchy of geocells."""
        return self.root / "geocells.npz"

    @property
    def layout(self) -> Path:
        """Where each parameter lies on the mesh, and by which rule."""
        return self.root / "layout.txt"

    @property
    def checkpoints(self) -> Path:
        """Orbax checkpoints, one folder a step."""
        return self.root / "checkpoints"


def write_text(path: Path, content: str) -> None:
    """Writes a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(content.encode())


def write_json(path: Path, content: Any) -> None:
    """Writes JSON whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def code_versions() -> dict[str, str]:
    """Versions that decide the bits of a run; the commit where the code lies in a git checkout."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "geosurge_jax": __version__,
        "commit": commit or "unknown",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in LIBRARIES},
    }


def config_differences(
    old: Mapping[str, Any], new: Mapping[str, Any], sections: Sequence[str] | None
) -> list[str]:
    """Lines `config.a.b: old -> new` for every value that differs in the named sections (None: in all)."""

    def chosen(config: Mapping[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in config.items() if sections is None or k in sections}
        return flat_items(json.loads(json.dumps(kept)))

    old_flat, new_flat = chosen(old), chosen(new)
    return [
        f"{key}: {old_flat.get(key, '(absent)')!r} -> {new_flat.get(key, '(absent)')!r}"
        for key in sorted({*old_flat, *new_flat})
        if old_flat.get(key, "(absent)") != new_flat.get(key, "(absent)")
    ]


def open_for_training(root: Path, config: Mapping[str, Any]) -> Workdir:
    """Opens a workdir that is free or already this config's; writes nothing yet.

    Evaluation settings may differ from the first start's: they do not touch training.

    Raises:
        ConfigError: the workdir belongs to another config; the message holds the differences.
    """
    workdir = Workdir(root.resolve())
    if workdir.config.exists():
        old = json.loads(workdir.config.read_text())
        sections = sorted({*old, *config} - {"evaluation"})
        _refuse(workdir, config_differences(old, config, sections), "train in another --workdir")
    return workdir


def claim(workdir: Workdir, config: Mapping[str, Any]) -> None:
    """Makes a workdir the home of this config, once all about the config has been found good."""
    if not workdir.config.exists():
        write_json(workdir.versions, code_versions())
        write_json(workdir.config, dict(config))


def open_trained(root: Path, config: Mapping[str, Any]) -> Workdir:
    """Opens the workdir of a run for reading its checkpoints.

    Raises:
        ConfigError: no run there, or its model is another one; the message holds the differences.
    """
    workdir = Workdir(root.resolve())
    if not workdir.config.exists():
        raise ConfigError(f"--workdir={root}: no run here (config.json is missing); train first")
    old = json.loads(workdir.config.read_text())
    _refuse(
        workdir,
        config_differences(old, config, MODEL_SECTIONS),
        "give the --config that the run was trained with",
    )
    return workdir


def _refuse(workdir: Workdir, differences: Sequence[str], remedy: str) -> None:
    if differences:
        raise ConfigError(
            f"--workdir={workdir.root} belongs to another config ({remedy}):\n  "
            + "\n  ".join(differences)
        )
