"""Runs a system over batches: posterior to places, and what the truth says about both where it is known."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from geosurge_jax.evaluation.calibration import (
    PhotoCalibration,
    calibrate,
    collect,
    grid_masses,
)
from geosurge_jax.evaluation.crops import average_over_crops
from geosurge_jax.evaluation.decode import decide, parse_decision
from geosurge_jax.evaluation.errors import PhotoErrors
from geosurge_jax.evaluation.index import collect_index
from geosurge_jax.evaluation.settings import EvaluationConfig
from geosurge_jax.models.sharding import constrain_batch
from geosurge_jax.systems.contract import MetricSums, Params, Prepared, System, masked_sums
from geosurge_jax.systems.posterior import Posterior

Put = Callable[[Mapping[str, np.ndarray]], dict[str, jax.Array]]


# The grid cell of each photo's truth, put into the batches that are scored.
TRUTH_CELL = "truth_cell"


@struct.dataclass
class Places:
    """The answer to each image of a batch under the first decision rule.

    Attributes:
        answer: degrees `[B, 2]`.
        index: which photo, int32 `[B]`.
        mask: 0 for padding, float32 `[B]`.
    """

    answer: jax.Array
    index: jax.Array
    mask: jax.Array


@struct.dataclass
class Answers:
    """The answers to each photo of a batch under all decisions, and the posterior held against the truth.

    Attributes:
        latlng: degrees `[B, D, 2]`.
        calibration: `[B]`.
        index: which photo, int32 `[B]`.
        mask: 0 for padding, float32 `[B]`.
    """

    latlng: jax.Array
    calibration: PhotoCalibration
    index: jax.Array
    mask: jax.Array


@dataclass(frozen=True)
class ScoredPhotos:
    """What scoring a data set collected of each photo.

    Attributes:
        errors: truth and answer by decision.
        calibration: `[M]`, in the order of the photos' index.
    """

    errors: Mapping[str, PhotoErrors]
    calibration: PhotoCalibration


Predict = Callable[[Params, Prepared, dict[str, jax.Array]], Places]
Answer = Callable[[Params, Prepared, dict[str, jax.Array]], Answers]
# Parameters, and the training photos in batches with their exact places where the posterior needs them.
Prepare = Callable[[Params, Iterable[Mapping[str, np.ndarray]] | None, np.ndarray | None], Prepared]
Losses = Callable[[Params, dict[str, jax.Array]], MetricSums]


def _one_crop_a_row(batch: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Folds `[B, C, ...]` pictures or features into `[B * C, ...]` and repeats the targets; returns C too."""
    crops = batch["segmentation"].shape[1]

    def fold(name: str, value: Any) -> Any:
        if name in ("image", "segmentation"):
            return jax.tree.map(lambda x: x.reshape(len(x) * crops, *x.shape[2:]), value)
        return jnp.repeat(value, crops, axis=0)

    return {name: fold(name, value) for name, value in batch.items()}, crops


def _posterior(
    system: System, params: Params, prepared: Prepared, batch: dict[str, jax.Array]
) -> Posterior:
    """The posterior of each photo of a batch with crops."""
    flat, crops = _one_crop_a_row(batch)
    return average_over_crops(system.posterior(params, prepared, flat), crops)


def make_predict(system: System, mesh: Mesh, config: EvaluationConfig) -> Predict:
    """Jits the way from a batch with crops to places, results replicated on every device.

    Args:
        system: its posterior is asked.
        mesh: where the results are replicated.
        config: the decision rule.

    Returns:
        `(params, prepared, batch with image [B, C, H, W, 3]) -> Places`.
    """
    decisions = [parse_decision(config.decisions[0])]

    def predict(params: Params, prepared: Prepared, batch: dict[str, jax.Array]) -> Places:
        posterior = _posterior(system, params, prepared, batch)
        answer = decide(posterior, decisions, config.decision_points)[:, 0]
        return Places(answer, batch["index"], batch["mask"])

    return jax.jit(predict, out_shardings=NamedSharding(mesh, PartitionSpec()))


def make_answer(system: System, mesh: Mesh, config: EvaluationConfig) -> Answer:
    """Jits the way from a batch with crops and the cells of the truth to answers, replicated as above."""
    decisions = [parse_decision(name) for name in config.decisions]

    def answer(params: Params, prepared: Prepared, batch: dict[str, jax.Array]) -> Answers:
        posterior = _posterior(system, params, prepared, batch)
        masses = constrain_batch(grid_masses(posterior, config.grid))
        return Answers(
            latlng=decide(posterior, decisions, config.decision_points),
            calibration=calibrate(masses, batch[TRUTH_CELL], config.grid, config.calibration_floor),
            index=batch["index"],
            mask=batch["mask"],
        )

    return jax.jit(answer, out_shardings=NamedSharding(mesh, PartitionSpec()))


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
        config: how photos are scored.
        predict: from `make_predict`.
        answer: from `make_answer`.
        losses: from `make_losses`.
        prepare: from `make_prepare`.
        put: host batch to device batch.
    """

    config: EvaluationConfig
    predict: Predict
    answer: Answer
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
        """Answers every photo once under the first decision, and takes its loss: what training watches.

        Args:
            params: evaluation parameters.
            prepared: of these parameters.
            batches: with crops and a mask.
            truth: exact degrees `[M, 2]`, by the batches' `index`.

        Returns:
            Truth and answer of each photo, and the means of the loss and of the system's metrics.
        """
        errors = PhotoErrors.empty()
        totals: dict[str, np.ndarray] = {}
        for batch in batches:
            device_batch = self.put(batch)
            places: Any = self.predict(params, prepared, device_batch)
            sums = self.losses(params, device_batch)
            index, mask, answer = jax.device_get((places.index, places.mask, places.answer))
            errors = errors.merge(PhotoErrors.from_batch(index, mask, truth[index], answer))
            for name, pair in jax.device_get(sums).items():
                totals[name] = totals.get(name, np.zeros(2)) + np.asarray(pair, np.float64)
        return errors, {name: float(s / w) for name, (s, w) in totals.items() if w > 0}

    def score(
        self,
        params: Params,
        prepared: Prepared,
        batches: Iterable[Mapping[str, np.ndarray]],
        truth: np.ndarray,
    ) -> ScoredPhotos:
        """Answers every photo once under every decision, and holds the posteriors against the truth.

        Args:
            params: evaluation parameters.
            prepared: of these parameters.
            batches: with crops and a mask.
            truth: exact degrees `[M, 2]`, by the batches' `index`.
        """
        cells = self.config.grid.assign(truth)
        errors = dict.fromkeys(self.config.decisions, PhotoErrors.empty())
        calibration = []
        for batch in batches:
            # The device has float32 coordinates at most; the truth's cell comes from the exact ones.
            device_batch = self.put({**batch, TRUTH_CELL: cells[batch["index"]]})
            found: Any = jax.device_get(self.answer(params, prepared, device_batch))
            calibration.append((found.index, found.mask, found.calibration))
            for place, name in enumerate(errors):
                answered = PhotoErrors.from_batch(
                    found.index, found.mask, truth[found.index], found.latlng[:, place]
                )
                errors[name] = errors[name].merge(answered)
        return ScoredPhotos(errors, collect(calibration))
