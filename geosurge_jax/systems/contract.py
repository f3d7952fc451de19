"""What a system is to the training loop and to the evaluator: a bundle of pure functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.models.location_encoder import LocationEncoderConfig
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.sharding import PartitionRules
from geosurge_jax.models.tower import TowerConfig
from geosurge_jax.systems.posterior import Posterior

Params = dict[str, Any]
Batch = Mapping[str, Any]
# One value and one weight for each photo of the batch, [B] each; sums of value * weight and of weight merge.
Metrics = dict[str, tuple[jax.Array, jax.Array]]

# (sum, weight) of a metric; divides to its mean and adds up over batches.
MetricSums = dict[str, tuple[jax.Array, jax.Array]]

# What the loss remembers of earlier batches, what a posterior needs beside the photo and the parameters, and
# what it needs of every training photo: arrays by name.
Memory = dict[str, jax.Array]
Prepared = dict[str, jax.Array]
Index = Mapping[str, jax.Array]

# What a system takes from the training locations beside the geocells: host arrays by name.
Survey = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class FlopsPerPhoto:
    """Analytic floating-point operations for one photo.

    Attributes:
        forward: of the posterior.
        training: of a training step: forward plus twice the trained part.
    """

    forward: int
    training: int


def no_memory() -> Memory:
    """The memory of a loss that knows its batch alone."""
    return {}


def keep_memory(memory: Memory, batch: Batch) -> Memory:
    """The memory after a batch that nothing is remembered of."""
    del batch
    return memory


def prepare_nothing(params: Params, index: Index) -> Prepared:
    """What is prepared where a posterior needs the photo and the parameters alone."""
    del params, index
    return {}


@dataclass(frozen=True)
class System:
    """A geo-localization system, built once from a config.

    Attributes:
        name: its key in the registry.
        init: `(key, batch) -> params`; batch holds image and segmentation and may be of any size, only
            shapes and types matter. Everywhere else `image` may also be the `Features` of the tower.
        loss: `(params, memory, batch, key) -> (per-photo loss [B], metrics)`; a key of None means
            evaluation: no dropout or other noise, and the memory that a run begins with.
        posterior: `(params, prepared, batch) -> Posterior`.
        targets: `latlng float64 [M, 2] -> {name: array [M, ...]}`, computed on the host for each batch and
            merged into it.
        partition_rules: (path pattern, PartitionSpec) pairs for parameters; the first match wins.
        frozen_rules: path patterns of the parameters that are not trained.
        towers: image towers by the path of their parameters; all want the same preprocessing.
        reads_tokens: whether a photo is more to the system than its tower's vector.
        flops: analytic cost.
        description: rows (name, value) for logs and reports, the hierarchy's sizes for example.
        memory: what the loss remembers before the first batch. It is part of the training state.
        remember: `(memory, batch) -> memory` after a step.
        index_rows: `(params, batch) -> {name: [B, ...]}`, what the posterior needs of every training photo;
            None where it needs nothing of them.
        prepare: `(params, index) -> prepared`, once for each evaluation: what does not depend on the photo
            that is asked about. The index holds the rows of `index_rows`, `latlng float32 [N, 2]` and `valid
            float32 [N]`, split by rows over the axes of the tables and padded with rows that are not
            valid; it is empty where `index_rows` is None.
        query: `(params, prepared, vectors [B, E]) -> Posterior` for a text tower's vectors of sentences; None
            where the system has no common space with texts.
        takes_features: whether `Features` may stand in for images. False where an encoder exchanges tokens
            with another one between its blocks.
        reads_segmentation: whether the posterior depends on the batch's segmentation maps.
        embed: `(params, batch) -> [B, E]`, the vector that the system compares images by; None where it has
            none, and the image encoder's own vector stands in.
        location_encoder: choices of the location encoder whose parameters stand under `location`, and which
            others use on its own; None where there is none.
    """

    name: str
    init: Callable[[jax.Array, Batch], Params]
    loss: Callable[[Params, Memory, Batch, jax.Array | None], tuple[jax.Array, Metrics]]
    posterior: Callable[[Params, Prepared, Batch], Posterior]
    targets: Callable[[np.ndarray], dict[str, np.ndarray]]
    partition_rules: PartitionRules
    frozen_rules: tuple[str, ...]
    towers: Mapping[str, TowerConfig]
    flops: FlopsPerPhoto
    description: tuple[tuple[str, str], ...]
    reads_tokens: bool = False
    memory: Callable[[], Memory] = no_memory
    remember: Callable[[Memory, Batch], Memory] = keep_memory
    index_rows: Callable[[Params, Batch], dict[str, jax.Array]] | None = None
    prepare: Callable[[Params, Index], Prepared] = prepare_nothing
    query: Callable[[Params, Prepared, jax.Array], Posterior] | None = None
    location_encoder: LocationEncoderConfig | None = None
    takes_features: bool = True
    reads_segmentation: bool = False
    embed: Callable[[Params, Batch], jax.Array] | None = None

    @property
    def probe(self) -> Mapping[str, jax.ShapeDtypeStruct]:
        """Shapes of one image and its segmentation map, for `init`."""
        size = self.preprocessing.image_size
        return {
            "image": jax.ShapeDtypeStruct((1, size, size, 3), np.uint8),
            "segmentation": jax.ShapeDtypeStruct((1, size, size), np.uint8),
        }

    @property
    def preprocessing(self) -> Preprocessing:
        """What the system expects of photos."""
        return next(iter(self.towers.values())).preprocessing


def masked_sums(
    system: System, params: Params, memory: Memory, batch: Batch, key: jax.Array | None
) -> MetricSums:
    """Sums of the loss and of the system's metrics over the photos that the batch's mask keeps."""
    loss, metrics = system.loss(params, memory, batch, key)
    mask = batch["mask"]
    sums = {"loss": (jnp.sum(loss * mask), jnp.sum(mask))}
    for name, (value, weight) in metrics.items():
        sums[name] = (jnp.sum(value * weight * mask), jnp.sum(weight * mask))
    return sums
