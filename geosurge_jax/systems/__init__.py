"""One file a published system; `SYSTEMS` names them for the config."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geosurge_jax.geo import Hierarchy
from geosurge_jax.systems import geosurge
from geosurge_jax.systems.contract import System


@dataclass(frozen=True)
class SystemEntry:
    """How a system is made.

    Attributes:
        config: dataclass that `config.system` is parsed into.
        build: `(config, hierarchy) -> System`.
    """

    config: type
    build: Callable[[Any, Hierarchy], System]


SYSTEMS = {"geosurge": SystemEntry(geosurge.GeoSurgeConfig, geosurge.build)}
