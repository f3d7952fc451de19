"""One file a published system; `SYSTEMS` names them for the config."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from geosurge_jax.geo import Hierarchy
from geosurge_jax.systems import (
    cplanet,
    geoclip,
    geodecoder,
    geosurge,
    isn,
    mvmf,
    nearest,
    regression,
    translocator,
    translocator_config,
)
from geosurge_jax.systems.contract import Survey, System


def no_survey(config: Any, latlng: np.ndarray, hierarchy: Hierarchy) -> Survey:
    """What a system takes from the training locations that needs nothing but the geocells."""
    del config, latlng, hierarchy
    return {}


@dataclass(frozen=True)
class SystemEntry:
    """How a system is made.

    Attributes:
        config: dataclass that `config.system` is parsed into.
        build: `(config, hierarchy, survey) -> System`.
        survey: `(config, latlng float64 [M, 2], hierarchy) -> arrays by name`: what the system takes from the
            training locations beside the geocells. Made once, kept with the run, and given to `build`.
    """

    config: type
    build: Callable[[Any, Hierarchy, Survey], System]
    survey: Callable[[Any, np.ndarray, Hierarchy], Survey] = no_survey


SYSTEMS = {
    "cplanet": SystemEntry(cplanet.CPlaNetConfig, cplanet.build, cplanet.survey_sets),
    "geoclip": SystemEntry(geoclip.GeoClipConfig, geoclip.build, geoclip.survey),
    "geodecoder": SystemEntry(geodecoder.GeoDecoderConfig, geodecoder.build),
    "geosurge": SystemEntry(geosurge.GeoSurgeConfig, geosurge.build),
    "isn": SystemEntry(isn.IsnConfig, isn.build),
    "mvmf": SystemEntry(mvmf.MvmfConfig, mvmf.build),
    "nearest": SystemEntry(nearest.NearestConfig, nearest.build),
    "regression": SystemEntry(regression.RegressionConfig, regression.build),
    "translocator": SystemEntry(translocator_config.TransLocatorConfig, translocator.build),
}
