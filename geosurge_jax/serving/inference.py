"""The compiled functions of a Predictor: from a batch of views to posteriors, coordinates and vectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import NamedSharding, PartitionSpec

from geosurge_jax.evaluation.crops import average_over_crops
from geosurge_jax.evaluation.decode import decide, parse_decision
from geosurge_jax.experiment.trained_model import TrainedModel
from geosurge_jax.models.cpu_encoder import make_cpu_encoder
from geosurge_jax.models.tower import Features
from geosurge_jax.models.towers import make_tower
from geosurge_jax.models.vit_config import ViTConfig
from geosurge_jax.systems.contract import Params, Prepared
from geosurge_jax.systems.posterior import Posterior
from geosurge_jax.training.mesh import process_rows, put_batch


@struct.dataclass
class Answers:
    """What a model says about a batch, on the host.

    Attributes:
        latlng: support points, degrees float32 `[K, 2]`, or `[B, K, 2]` where each image has its own.
        log_prob: float32 `[B, K]`.
        decided: answer of the decision rule, degrees float32 `[B, 2]`.
    """

    latlng: Any
    log_prob: Any
    decided: Any


@dataclass(frozen=True)
class Inference:
    """Compiled functions of one model; each is compiled once for each bucket of batch sizes.

    Attributes:
        answer: `(params, prepared, {"image": uint8 [B, V, S, S, 3], "segmentation": uint8 [B, V, S, S]}) ->
            Answers`.
        embed: the same arguments without `prepared` -> float32 `[B, E]`, mean over the views.
        query: `(params, prepared, vectors [B, D] of a text encoder) -> Answers`; None where the system has no
            space in common with texts.
        buckets: batch sizes, ascending; every one is a multiple of the devices.
    """

    answer: Callable[[Params, Prepared, Mapping[str, jax.Array]], Answers]
    embed: Callable[[Params, Mapping[str, jax.Array]], jax.Array]
    query: Callable[[Params, Prepared, jax.Array], Answers] | None
    buckets: tuple[int, ...]

    def bucket(self, count: int) -> int:
        """Returns the smallest bucket that holds `count` images."""
        return next(size for size in self.buckets if size >= count)


def make_inference(model: TrainedModel, batch_size: int) -> Inference:
    """Builds the functions; nothing is compiled yet.

    Args:
        model: what answers.
        batch_size: the most images at a time, rounded up to a multiple of the devices.
    """
    system = model.system
    everywhere = NamedSharding(model.mesh, PartitionSpec())
    rules = [parse_decision(model.decision)]

    def answers(posterior: Posterior) -> Answers:
        decided = decide(posterior, rules, model.decision_points)[:, 0]
        return Answers(posterior.latlng, posterior.log_prob, decided)

    def answer(params: Params, prepared: Prepared, batch: Mapping[str, jax.Array]) -> Answers:
        flat, views = _one_view_a_row(batch)
        return answers(average_over_crops(system.posterior(params, prepared, flat), views))

    def embed(params: Params, batch: Mapping[str, jax.Array]) -> jax.Array:
        flat, views = _one_view_a_row(batch)
        vectors = (system.embed or image_vectors(model))(params, flat).astype(jnp.float32)
        return jnp.mean(vectors.reshape(-1, views, vectors.shape[-1]), axis=1)

    encoder = cpu_encoder(model)

    def encoded(batch: Mapping[str, jax.Array]) -> Mapping[str, Any]:
        """On CPUs the image encoder runs as a program of its own, and its features stand in for images."""
        return batch if encoder is None else {**batch, "image": encoder(batch["image"])}

    answer_jit = jax.jit(answer, out_shardings=everywhere)
    embed_jit = jax.jit(embed, out_shardings=everywhere)
    ask = system.query
    query = None if ask is None else jax.jit(lambda *a: answers(ask(*a)), out_shardings=everywhere)
    return Inference(
        answer=lambda params, prepared, batch: answer_jit(params, prepared, encoded(batch)),
        embed=lambda params, batch: embed_jit(params, encoded(batch)),
        query=query,
        buckets=_buckets(batch_size, model.mesh.size),
    )


def cpu_encoder(model: TrainedModel) -> Callable[[jax.Array], Features] | None:
    """Returns the model's image encoder in its fastest form on a CPU; None where it has no such form.

    Returns:
        `image uint8 [B, V, S, S, 3] -> Features` of shapes `[B, V, ...]`, compiled once for each shape.
    """
    (path, config), *more = model.system.towers.items()
    device = model.mesh.devices.flat[0]
    fits = model.system.takes_features and not more and model.config.compute_dtype == "float32"
    alone = device.platform == "cpu" and model.mesh.size == 1
    if not isinstance(config, ViTConfig) or not fits or not alone:
        return None
    encode = make_cpu_encoder(config, model.params[path])

    def encoded(image: jax.Array) -> Features:
        features = encode(image.reshape(-1, *image.shape[2:]))
        return jax.tree.map(lambda x: x.reshape(*image.shape[:2], *x.shape[1:]), features)

    return encoded


def image_vectors(model: TrainedModel) -> Callable[[Params, Mapping[str, jax.Array]], jax.Array]:
    """Returns `(params, batch) -> [B, D]`, the pooled vector of the system's first image encoder."""
    path, config = next(iter(model.system.towers.items()))
    encoder = make_tower(config, jnp.dtype(model.config.compute_dtype))

    def pooled(params: Params, batch: Mapping[str, jax.Array]) -> jax.Array:
        features: Any = encoder.apply({"params": params[path]}, batch["image"], train=False)
        return features.pooled

    return pooled


def put_padded(
    model: TrainedModel, batch: Mapping[str, np.ndarray], size: int
) -> dict[str, jax.Array]:
    """Places a host batch `[B, ...]` on the devices, filled up with zeros to `size` rows."""
    rows = process_rows(model.mesh, size)

    def own_rows(array: np.ndarray) -> np.ndarray:
        if len(array) == size == len(rows):
            return array
        padded = np.zeros((size, *array.shape[1:]), array.dtype)
        padded[: len(array)] = array
        return padded[rows]

    return put_batch(model.mesh, {name: own_rows(array) for name, array in batch.items()})


def _one_view_a_row(batch: Mapping[str, jax.Array]) -> tuple[dict[str, jax.Array], int]:
    """Folds `[B, V, ...]` into `[B * V, ...]`; returns V too."""
    views = batch["segmentation"].shape[1]
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), dict(batch)), views


def _buckets(batch_size: int, devices: int) -> tuple[int, ...]:
    """Powers of two times the devices, the largest of them at least `batch_size`."""
    sizes = [devices]
    while sizes[-1] < batch_size:
        sizes.append(min(2 * sizes[-1], -(-batch_size // devices) * devices))
    return tuple(sizes)
