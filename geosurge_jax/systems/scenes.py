"""Scenes beside geocells: Places365's labels as a second task."""

import jax
import jax.numpy as jnp

from geosurge_jax.dataset.record import SCENE_COUNTS
from geosurge_jax.models.sharding import constrain_batch
from geosurge_jax.systems.contract import Batch, Metrics


def scene_labels(batch: Batch, scenes: int) -> jax.Array:
    """The photos' labels among `scenes` (3, 16 or 365) scenes, int32 `[B]`, -1 where there is none."""
    return batch["scene"][:, SCENE_COUNTS.index(scenes)]


def scene_cross_entropy(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, Metrics]:
    """Softmax cross-entropy over scenes.

    Args:
        logits: float32 `[B, S]`.
        labels: int32 `[B]`, -1 where the photo's scene is not known.

    Returns:
        Loss `[B]`, 0 where the scene is not known, and loss and top-1 accuracy with the photos of known
        scene as weight.
    """
    known = labels >= 0
    log_prob = jax.nn.log_softmax(constrain_batch(logits), axis=-1)
    is_label = labels[:, None] == jnp.arange(logits.shape[-1])[None]
    loss = jnp.where(known, -jnp.sum(jnp.where(is_label, log_prob, 0.0), axis=-1), 0.0)
    correct = (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)
    weight = known.astype(jnp.float32)
    return loss, {"loss/scene": (loss, weight), "accuracy/scene": (correct, weight)}
