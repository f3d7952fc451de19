"""What a run knows of where photos are taken: geocells, and what its system takes from the places beside."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.experiment_config import ExperimentConfig
from geosurge_jax.experiment.workdir import Workdir
from geosurge_jax.geo import (
    Hierarchy,
    atomic_file,
    build_hierarchy,
    load_hierarchy,
    planned_hierarchy,
    save_hierarchy,
)
from geosurge_jax.systems import SYSTEMS

# Photos in each finest cell of a planned run: what a system takes from places needs some to take.
PLANNED_PHOTOS = 10


@dataclass(frozen=True)
class Geography:
    """A function of the training locations and the config, made once and kept with the run.

    Attributes:
        hierarchy: the geocells.
        survey: what the system takes from the locations beside them, arrays by name.
    """

    hierarchy: Hierarchy
    survey: Mapping[str, np.ndarray]


def make_geography(config: ExperimentConfig, latlng: np.ndarray) -> Geography:
    """Builds geocells and survey from the training locations, degrees `[M, 2]`.

    Raises:
        ValueError: no geocell is left, or the system cannot take from these places what it needs.
    """
    geocells = config.geocells
    max_images, min_images = geocells.scaled(len(latlng))
    hierarchy = build_hierarchy(
        latlng,
        max_images=max_images,
        min_images=min_images,
        min_level=geocells.min_level,
        max_level=geocells.max_level,
        drop=geocells.drop,
    )
    return Geography(hierarchy, _survey(config, latlng, hierarchy))


def planned_geography(config: ExperimentConfig) -> Geography:
    """As many geocells as `config.geocells.planned_cells` says, spread evenly, for a run without photos."""
    hierarchy = planned_hierarchy(config.geocells.planned_cells)
    latlng = np.repeat(hierarchy.partitions[-1].latlng, PLANNED_PHOTOS, axis=0)
    return Geography(hierarchy, _survey(config, latlng, hierarchy))


def _survey(
    config: ExperimentConfig, latlng: np.ndarray, hierarchy: Hierarchy
) -> dict[str, np.ndarray]:
    return dict(SYSTEMS[config.system_name].survey(config.system, latlng, hierarchy))


def save_geography(workdir: Workdir, geography: Geography) -> None:
    """Writes both files, each whole or not at all.

    Raises:
        OSError: a file cannot be written.
    """
    with atomic_file(workdir.survey) as file:
        np.savez(file, **geography.survey)  # pyright: ignore[reportArgumentType]
    save_hierarchy(workdir.geocells, geography.hierarchy)


def load_geography(workdir: Workdir) -> Geography:
    """Reads what `save_geography` wrote.

    Raises:
        ValueError: a file is missing or damaged; names it.
    """
    hierarchy = load_hierarchy(workdir.geocells)
    try:
        with np.load(workdir.survey) as stored:
            return Geography(hierarchy, {name: stored[name] for name in stored.files})
    except Exception as error:  # whatever damage makes NumPy's and zipfile's readers raise
        raise ConfigError(
            f"{workdir.survey}: not readable ({' '.join(str(error).split())}); expected what the run wrote "
            "there beside its geocells"
        ) from None
