"""Runs a system over batches: posterior to places, and the loss where the truth is known."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from geosurge_jax.evaluation.crops import average_over_crops
from geosurge_jax.evaluation.decode import top_locations
from geosurge_jax.evaluation.errors import PhotoErrors
from geosurge_jax.evaluation.index import collect_index
from geosurge_jax.systems.contract import MetricSums, Params, Prepared, System, masked_sums
from geosurge_jax.systems.posterior import Posterior

Put = Callable[[Mapping[str, np.ndarray]], dict[str, jax.Array]]


@struct.dataclass
class Places:
    """The likeliest places of each photo of a batch.

    Attributes:
        latlng: degrees `[B, k, 2]`, likeliest first.
        log_prob: `[B, k]`.
        index: which photo, int32 `[B]`.
        mask: 0 for padding, float32 `[B]`.
    """

    latlng: jax.Array
    log_prob: jax.Array
    index: jax.Array
    mask: jax.Array


Predict = Callable[[Params, Prepared, dict[str, jax.Array]], Places]
# Parameters, and the training photos in batches with their exact places where the posterior needs them.
Prepare = Callable[[Params, Iterable[Mapping[str, np.ndarray]] | None, np.ndarray | None], Prepared]
Losses = Callable[[Params, dict[str, jax.Array]], MetricSums]


def _one_crop_a_row(batch: Mapping[str, jax.Array]) -> tuple[dict[str, jax.Array], int]:
    """Folds `[B, C, ...]` pictures into `[B * C, ...]` and repeats the targets; returns C too."""
    crops = batch["image"].shape[1]

    def fold(name: str, value: jax.Array) -> jax.Array:
        if name in ("image", "segmentation"):
            return value.reshape(-1, *value.shape[2:])
        return jnp.repeat(value, crops, axis=0)

    return {name: fold(name, value) for name, value in batch.items()}, crops


def make_predict(system: System, mesh: Mesh, top_k: int) -> Predict:
    """Jits the way from a batch with crops to places, results replicated on every device.

    Args:
        system: its posterior is asked.
        mesh: where the results are replicated.
        top_k: places for each photo; fewer where the posterior's support is smaller.

    Returns:
        `(params, prepared, batch with image [B, C, H, W, 3]) -> Places`.
    """

    def predict(params: Params, prepared: Prepared, batch: dict[str, jax.Array]) -> Places:
        flat, crops = _one_crop_a_row(batch)
        posterior = system.posterior(params, prepared, flat)
        averaged = Posterior(posterior.latlng, average_over_crops(posterior.log_prob, crops))
        latlng, log_prob = top_locations(averaged, min(top_k, posterior.latlng.shape[0]))
        return Places(latlng, log_prob, batch["index"], batch["mask"])

    return jax.jit(predict, out_shardings=NamedSharding(mesh, PartitionSpec()))


def make_losses(system: System, mesh: Mesh) -> Losses:
    """Jits the loss and metric sums over a batch with crops; each crop counts as a photo."""

    def losses(params: Params, batch: dict[str, jax.Array]) -> MetricSums:
        flat, _ = _one_crop_a_row(batch)
        return masked_sums(system, params, system.memory(), flat, None)

    return jax.jit(losses, out_shardings=NamedSharding(mesh, PartitionSpec()))


def make_prepare(system: System, mesh: Mesh, put: Put) -> Prepare:
    """Makes what an evaluation does once before it looks at photos.

    Args:
        system: whose posterior is prepared.
        mesh: where the index of training photos lies, for a system that has one.
        put: host batch to device batch.

    Returns:
        `(params, batches, latlng) -> prepared`; batches and degrees `[M, 2]` of all training photos for a
        system with an index, None for others.
    """
    prepare = jax.jit(system.prepare)
    index_rows = system.index_rows
    if index_rows is None:
        return lambda params, batches, latlng: prepare(params, {})

    def rows(params: Params, batch: dict[str, jax.Array]) -> Any:
        flat, _ = _one_crop_a_row(batch)
        return index_rows(params, flat), batch["index"], batch["mask"]

    jitted = jax.jit(rows, out_shardings=NamedSharding(mesh, PartitionSpec()))

    def with_index(params: Params, batches: Any, latlng: Any) -> Prepared:
        index = collect_index(lambda batch: jitted(params, put(batch)), batches, latlng, mesh)
        return prepare(params, index)

    return with_index


@dataclass(frozen=True)
class Evaluator:
    """Scores parameters on data sets; the compiled functions serve every data set.

    Attributes:
        predict: from `make_predict`.
        losses: from `make_losses`.
        prepare: from `make_prepare`.
        put: host batch to device batch.
    """

    predict: Predict
    losses: Losses
    prepare: Prepare
    put: Put

    def run(
        self,
        params: Params,
        prepared: Prepared,
        batches: Iterable[Mapping[str, np.ndarray]],
        truth: np.ndarray,
    ) -> tuple[PhotoErrors, dict[str, float]]:
        """Scores every photo once.

        Args:
            params: evaluation parameters.
            prepared: of these parameters.
            batches: with crops and a mask.
            truth: exact degrees `[M, 2]`, by the batches' `index`.

        Returns:
            Truth and prediction of each photo, and the means of the loss and of the system's metrics.
        """
        errors = PhotoErrors.empty()
        totals: dict[str, np.ndarray] = {}
        for batch in batches:
            device_batch = self.put(batch)
            places: Any = self.predict(params, prepared, device_batch)
            sums = self.losses(params, device_batch)
            index, mask, latlng = jax.device_get((places.index, places.mask, places.latlng))
            errors = errors.merge(PhotoErrors.from_batch(index, mask, truth[index], latlng[:, 0]))
            for name, pair in jax.device_get(sums).items():
                totals[name] = totals.get(name, np.zeros(2)) + np.asarray(pair, np.float64)
        return errors, {name: float(s / w) for name, (s, w) in totals.items() if w > 0}


def predict_places(
    evaluator: Evaluator,
    params: Params,
    prepared: Prepared,
    batches: Iterable[Mapping[str, np.ndarray]],
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields (index, latlng [k, 2], log_prob [k]) for each photo that could be read."""
    for batch in batches:
        places: Any = evaluator.predict(params, prepared, evaluator.put(batch))
        places = jax.device_get(places)
        for index, mask, latlng, log_prob in zip(
            places.index, places.mask, places.latlng, places.log_prob, strict=True
        ):
            if mask > 0:
                yield int(index), latlng, log_prob
