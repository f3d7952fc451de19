"""`config.init_from`: a run's image towers begin with somebody's weights."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from geosurge_jax.dataset.manifest import file_sha256
from geosurge_jax.experiment.config_types import flat_items
from geosurge_jax.interop.families import TOWER_FAMILIES
from geosurge_jax.interop.family import Family, WeightsError
from geosurge_jax.interop.hub import model_directory
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import StoredModel, open_model
from geosurge_jax.interop.part import Part, check_part, part_of, read_config
from geosurge_jax.models.tower import TowerConfig
from geosurge_jax.systems.contract import Params, System
from geosurge_jax.training.parameters import flatten, merge, unflatten
from geosurge_jax.training.state import TrainState

KEY = "config.init_from"

# Where a config describes the towers, however many of the same make a system has.
TOWER_KEY = "config.system.visual"

# How a tower is trained is the run's to say, and positions are brought to the run's resolution.
OWN_CHOICES = (
    "trained_blocks",
    "trained_stages",
    "scan",
    "remat",
    "dropout",
    "preprocessing.image_size",
)


@dataclasses.dataclass(frozen=True)
class Weights:
    """A model's directory, opened, whose architecture is that of the run's towers.

    Attributes:
        stored: what lies in the directory.
        family: how it is laid out.
        towers: the run's towers by the path of their parameters.
    """

    stored: StoredModel
    family: Family
    towers: Mapping[str, TowerConfig]

    def parts(self, shapes: Mapping[str, Any]) -> dict[str, Part]:
        """What is to be read for each tower, given shapes of all parameters by path."""
        wanted = {
            path: unflatten(
                {
                    n.removeprefix(f"{path}/"): s
                    for n, s in shapes.items()
                    if n.startswith(f"{path}/")
                }
            )
            for path in self.towers
        }
        return {
            path: part_of(self.stored, self.family, tower, wanted[path])
            for path, tower in self.towers.items()
        }

    def identity(self) -> dict[str, str]:
        """SHA-256 of each weight file by its name: what decides the bits of the run."""
        files = {Path(path) for path in self.stored.files.values()}
        return {path.name: file_sha256(path) for path in sorted(files)}


def open_weights(source: str, system: System) -> Weights | None:
    """Opens what `config.init_from` names; None where it is empty.

    Raises:
        WeightsError: it is not there, not readable, or of another architecture than the system's towers;
            the message lists the differences.
    """
    if not source:
        return None
    stored = open_model(model_directory(source, KEY))
    model_type = stored.config.get("model_type")
    families = [one for one in TOWER_FAMILIES.values() if model_type in one.model_types]
    if not families:
        known = sorted({name for one in TOWER_FAMILIES.values() for name in one.model_types})
        raise WeightsError(
            f"{KEY}={source!r}: config.json says model_type {model_type!r}, expected one of {known}"
        )
    theirs = read_config(stored, families[0])
    for tower in system.towers.values():
        lines = tower_differences(TOWER_KEY, tower, theirs)
        if lines:
            raise WeightsError(
                f"{KEY}={source!r}: the tower there is not the config's (config -> files):\n  "
                + "\n  ".join(lines)
            )
    return Weights(stored, families[0], system.towers)


def tower_differences(key: str, ours: TowerConfig, theirs: TowerConfig) -> list[str]:
    """Lines `config.system.visual.size: 'L' -> 'B'` for what sets two towers apart."""
    wanted, found = (flat_items(dataclasses.asdict(tower), "") for tower in (ours, theirs))  # pyright: ignore[reportArgumentType]
    own = {f".{name}" for name in OWN_CHOICES}
    if wanted.get(".projection") == 0:
        own.add(".projection")  # left out of the model, as what follows it in theirs
    return [
        f"{key}{name}: {wanted.get(name, '(absent)')!r} -> {found.get(name, '(absent)')!r}"
        for name in sorted({*wanted, *found} - own)
        if wanted.get(name, "(absent)") != found.get(name, "(absent)")
    ]


def describe_weights(source: str, system: System, shapes: Mapping[str, Any]) -> dict[str, str]:
    """Identity of a run's weights, found to be sound; empty where it begins with none.

    Raises:
        WeightsError: as `open_weights`; or lists tensors that are missing, unexpected, of another shape, or
            not finite.
    """
    weights = open_weights(source, system)
    if weights is None:
        return {}
    for part in weights.parts(flatten(shapes)).values():
        check_part(part)
    return weights.identity()


def load_towers(weights: Weights, shapes: Params) -> dict[str, Params]:
    """The towers' parameters out of a file, on the devices that hold them, by the path of the tower.

    Args:
        weights: from `open_weights`.
        shapes: of all parameters, with shardings.

    Raises:
        WeightsError: as `describe_weights`.
    """
    return {path: load_part(part) for path, part in weights.parts(flatten(shapes)).items()}


def with_weights(
    source: str, system: System, state: TrainState, abstract: TrainState
) -> TrainState:
    """The state of step 0 with the towers' parameters out of a file, on the devices that hold them.

    Args:
        source: `config.init_from`; empty leaves the state as it is.
        system: its towers say where their parameters are.
        state: fresh from the run's seed.
        abstract: its shapes and shardings.

    Raises:
        WeightsError: as `describe_weights`.
    """
    weights = open_weights(source, system)
    if weights is None:
        return state
    trained, frozen = flatten(state.trained), flatten(state.frozen)
    for path, params in load_towers(weights, merge(abstract.trained, abstract.frozen)).items():
        for name, array in flatten(params).items():
            (trained if f"{path}/{name}" in trained else frozen)[f"{path}/{name}"] = array
    begun = unflatten(trained)
    average = None if state.average is None else jax.tree.map(jnp.copy, begun)
    return dataclasses.replace(state, trained=begun, frozen=unflatten(frozen), average=average)
