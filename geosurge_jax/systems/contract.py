"""What a system is to the training loop and to the evaluator: a bundle of pure functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


@dataclass(frozen=True)
class FlopsPerPhoto:
    """Analytic floating-point operations for one photo.

    Attributes:
        forward: of the posterior.
        training: of a training step: forward plus twice the trained part.
    """

    forward: int
    training: int


@dataclass(frozen=True)
class System:
    """A geo-localization system, built once from a config.

    Attributes:
        name: its key in the registry.
        init: `(key, batch) -> params`; batch may be of any size, only shapes and types matter.
        loss: `(params, batch, key) -> (per-photo loss [B], metrics)`; a key of None means evaluation:
            no dropout or other noise.
        posterior: `(params, batch) -> Posterior`.
        targets: `latlng float64 [M, 2] -> {name: array [M, ...]}`, computed on the host for each batch and
            merged into it.
        partition_rules: (path pattern, PartitionSpec) pairs for parameters; the first match wins.
        frozen_rules: path patterns of the parameters that are not trained.
        towers: image towers by the path of their parameters; all want the same preprocessing.
        flops: analytic cost.
        description: rows (name, value) for logs and reports, the hierarchy's sizes for example.
    """

    name: str
    init: Callable[[jax.Array, Batch], Params]
    loss: Callable[[Params, Batch, jax.Array | None], tuple[jax.Array, Metrics]]
    posterior: Callable[[Params, Batch], Posterior]
    targets: Callable[[np.ndarray], dict[str, np.ndarray]]
    partition_rules: PartitionRules
    frozen_rules: tuple[str, ...]
    towers: Mapping[str, TowerConfig]
    flops: FlopsPerPhoto
    description: tuple[tuple[str, str], ...]

    @property
    def preprocessing(self) -> Preprocessing:
        """What the system expects of photos."""
        return next(iter(self.towers.values())).preprocessing


def masked_sums(system: System, params: Params, batch: Batch, key: jax.Array | None) -> MetricSums:
    """Sums of the loss and of the system's metrics over the photos that the batch's mask keeps."""
    loss, metrics = system.loss(params, batch, key)
    mask = batch["mask"]
    sums = {"loss": (jnp.sum(loss * mask), jnp.sum(mask))}
    for name, (value, weight) in metrics.items():
        sums[name] = (jnp.sum(value * weight * mask), jnp.sum(weight * mask))
    return sums
