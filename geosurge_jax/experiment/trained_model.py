"""A system with its parameters, ready for inference.

Every mode that reads a checkpoint, the Predictor, exports and published releases start from `TrainedModel`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from geosurge_jax.geo import Hierarchy
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted
from geosurge_jax.systems.contract import Params, Prepared, System

SYNTHETIC_WARNING = (
    "trained on the synthetic Earth, a generated world: its places mean nothing for real photos"
)


@dataclass(frozen=True)
class SegmentationSource:
    """The model that made the segmentation maps a system was trained on.

    Attributes:
        source: its directory, or "hf:ORG/NAME[@REVISION]".
        library: what ran it: "native" or "transformers".
        identity: what decides its maps, as JSON: SHA-256 of each of its files by name.
        class_table: ADE20K's id of each of its classes, 255 = unknown.
        short_side: shorter side of a map in pixels, at most.
    """

    source: str
    library: str
    identity: Any
    class_table: tuple[int, ...]
    short_side: int


@dataclass(frozen=True)
class Provenance:
    """Where a trained model comes from.

    Attributes:
        name: short name, shown with every prediction.
        source: directory or hub name that it was opened from.
        training_data: name and version of the dataset.
        synthetic: whether it was trained on the synthetic Earth, so that its places mean nothing.
        step: training step of the parameters; None where the files do not say.
        license: SPDX identifier or a phrase; empty where the files do not say.
        segmentation: what made its segmentation maps; None where none were used or nothing is recorded.
        backbone: (hub name, revision) of the frozen image encoder; None where it has none.
        text_encoder: directory or hub name of the CLIP whose text encoder shares the image encoder's space;
            empty where there is none.
    """

    name: str
    source: str
    training_data: str
    synthetic: bool = False
    step: int | None = None
    license: str = ""
    segmentation: SegmentationSource | None = None
    backbone: tuple[str, str] | None = None
    text_encoder: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person has to know of every answer of the model; exports carry it too."""
        return (SYNTHETIC_WARNING,) if self.synthetic else ()


@dataclass(frozen=True)
class TrainedModel:
    """A system with its parameters.

    Attributes:
        system: pure functions, preprocessing and image encoders.
        config: the system's own config, of the class that its registry entry names.
        hierarchy: geocells that the system was built from; None where it has none.
        location_data: what the system derived from training locations, arrays by name.
        mesh: devices that hold the parameters.
        params: evaluation parameters.
        precompute: `params -> arrays by name`, what the posterior needs besides image and parameters (a
            gallery's vectors, a retrieval database). Costly for some systems: call it once.
        decision: name of the decision rule that turns a posterior into coordinates.
        decision_points: most likely support points that the decision rule weighs.
        provenance: where the model comes from.
    """

    system: System
    config: Any
    hierarchy: Hierarchy | None
    location_data: Mapping[str, np.ndarray]
    mesh: Mesh
    params: Params
    precompute: Callable[[Params], Prepared]
    decision: str
    decision_points: int
    provenance: Provenance


def on_mesh(system: System, mesh: Mesh) -> Callable[[Params], Prepared]:
    """Returns `params -> arrays by name` of a system that precomputes from its parameters alone."""

    def precompute(params: Params) -> Prepared:
        with jax.set_mesh(mesh):
            return jax.jit(system.prepare)(params, {})

    return precompute


def segmentation_source(values: Mapping[str, Any]) -> SegmentationSource:
    """Reads a `SegmentationSource` from JSON; raises TypeError for other entries."""
    return SegmentationSource(**{**values, "class_table": tuple(values["class_table"])})


def read_provenance(values: Mapping[str, Any], source: str) -> Provenance:
    """Reads from JSON what `dataclasses.asdict` made of a `Provenance`.

    Args:
        values: its entries.
        source: name or folder that the model was opened from now.

    Raises:
        WeightsError: other entries; one line.
    """
    try:
        made, backbone = values["segmentation"], values["backbone"]
        fixed = {
            "source": source,
            "segmentation": None if made is None else segmentation_source(made),
            "backbone": None if backbone is None else (str(backbone[0]), str(backbone[1])),
        }
        return Provenance(**{**values, **fixed})
    except (IndexError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{source}: config.json holds no provenance as it is written here ({quoted(str(error))})"
        ) from error
