"""Objective and posterior over a hierarchy of geocells, given scores on the cells of every level."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.geo import Hierarchy
from geosurge_jax.models.geocell_table import MASKED_SCORE, padded_rows
from geosurge_jax.models.sharding import constrain_batch, gather_vectors
from geosurge_jax.systems.contract import Metrics

NEGATIVES = ("level", "batch")
MISSING_ANCESTOR_RULES = ("mean", "skip")
DECISIONS = ("product", "finest")


def cells_of_the_batch(labels: jax.Array, cells: int) -> jax.Array:
    """Marks the cells that occur in the batch.

    Args:
        labels: int32 `[B]`, -1 where the photo has no cell.
        cells: number of rows K.

    Returns:
        bool `[K]`.
    """
    return jnp.any(labels[:, None] == jnp.arange(cells)[None], axis=0)


def level_cross_entropy(
    scores: jax.Array, labels: jax.Array, negatives: str, label_smoothing: float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """Softmax cross-entropy of one level, masked where a photo has no cell there.

    Args:
        scores: float32 `[B, K]`.
        labels: int32 `[B]`, -1 where the photo's cell was dropped.
        negatives: "level", all cells of the level, or "batch", the cells that occur in the batch.
        label_smoothing: share of the label's weight that all cells which count as negatives take evenly.

    Returns:
        Loss `[B]`, 0 where masked, and whether no cell is scored above the right one `[B]`.
    """
    labels = gather_vectors(labels)
    best_score = jnp.max(scores, axis=-1)
    if negatives == "batch":
        present = cells_of_the_batch(labels, scores.shape[-1])
        scores = jnp.where(present[None], scores, MASKED_SCORE)
    # A comparison with an iota, not a gather: it keeps the table axis sharded in both directions.
    is_label = labels[:, None] == jnp.arange(scores.shape[-1])[None]
    label_score = jnp.sum(jnp.where(is_label, scores, 0.0), axis=-1)
    correct = (label_score == best_score) & (labels >= 0)
    if label_smoothing:
        counted = scores > MASKED_SCORE / 2
        mean = jnp.sum(jnp.where(counted, scores, 0.0), axis=-1) / jnp.sum(counted, axis=-1)
        label_score = (1 - label_smoothing) * label_score + label_smoothing * mean
    loss = jax.nn.logsumexp(scores, axis=-1) - label_score
    return constrain_batch(jnp.where(labels >= 0, loss, 0.0)), constrain_batch(correct)


def hierarchical_loss(
    scores: Sequence[jax.Array],
    labels: jax.Array,
    negatives: str,
    weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> tuple[jax.Array, Metrics]:
    """Sum of the levels' cross-entropies for each photo (GeoSURGE: a plain sum over the levels).

    Args:
        scores: one float32 `[B, K_l]` a level.
        labels: int32 `[B, L]`.
        negatives: see `level_cross_entropy`.
        weights: of the levels in the sum; None for 1 each.
        label_smoothing: see `level_cross_entropy`.

    Returns:
        Loss `[B]`, and for each level its loss and top-1 accuracy with the photos that have a cell there
        as weight.

    Raises:
        ValueError: another number of weights than of levels.
    """
    total = jnp.zeros(labels.shape[0], jnp.float32)
    metrics: Metrics = {}
    if weights is not None and len(weights) != len(scores):
        raise ValueError(f"{len(weights)} weights of levels, expected {len(scores)}, one a level")
    for level, level_scores in enumerate(scores):
        level_labels = labels[:, level]
        loss, correct = level_cross_entropy(level_scores, level_labels, negatives, label_smoothing)
        total = total + (loss if weights is None else weights[level] * loss)
        weight = (level_labels >= 0).astype(jnp.float32)
        metrics[f"loss/level_{level}"] = (loss, weight)
        metrics[f"accuracy/level_{level}"] = (correct.astype(jnp.float32), weight)
    return total, metrics


def hierarchical_log_prob(
    scores: Sequence[jax.Array], hierarchy: Hierarchy, missing_ancestor: str
) -> jax.Array:
    """Log-probability of each finest cell: its own and all its ancestors' added, renormalised.

    Args:
        scores: one float32 `[B, >= K_l]` a level; columns beyond K_l are padding.
        hierarchy: partitions and ancestor table.
        missing_ancestor: "mean", a level where the cell has no kept ancestor counts as the mean of the
            cell's present log-probabilities, or "skip", it counts nothing, as multiplying what there is
            does; that favours such cells.

    Returns:
        float32 `[B, K_L]`, each row normalised.
    """
    ancestors = np.asarray(hierarchy.ancestors)
    present = ancestors >= 0
    total = constrain_batch(jnp.zeros((scores[0].shape[0], ancestors.shape[0]), jnp.float32))
    for level, level_scores in enumerate(scores):
        cells = len(hierarchy.partitions[level].ids)
        # From rows of tables to photos, once: whatever follows needs no other device.
        level_scores = constrain_batch(level_scores)
        log_prob = jax.nn.log_softmax(level_scores[:, :cells], axis=-1)
        of_ancestor = jnp.take(log_prob, np.maximum(ancestors[:, level], 0), axis=1)
        total = total + jnp.where(present[None, :, level], of_ancestor, 0.0)
    if missing_ancestor == "mean":
        levels_present = present.sum(axis=1).astype(np.float32)
        total = total * jnp.asarray(ancestors.shape[1] / levels_present)[None]
    return jax.nn.log_softmax(total, axis=-1)


def finest_log_prob(scores: Sequence[jax.Array], hierarchy: Hierarchy) -> jax.Array:
    """Log-probability of each finest cell by its own level alone, float32 `[B, K_L]`."""
    return jax.nn.log_softmax(
        constrain_batch(scores[-1])[:, : len(hierarchy.partitions[-1].ids)], axis=-1
    )


def finest_cell_log_prob(
    scores: Sequence[jax.Array], hierarchy: Hierarchy, decision: str, missing_ancestor: str
) -> jax.Array:
    """Log-probability of each finest cell, float32 `[B, K_L]`, by one of `DECISIONS`.

    Args:
        scores: one float32 `[B, >= K_l]` a level; columns beyond K_l are padding.
        hierarchy: partitions and ancestor table.
        decision: "product", `hierarchical_log_prob`, or "finest", `finest_log_prob` (f* and f of
            Mueller-Budack et al. 2018).
        missing_ancestor: see `hierarchical_log_prob`.
    """
    if decision == "product":
        return hierarchical_log_prob(scores, hierarchy, missing_ancestor)
    return finest_log_prob(scores, hierarchy)


def describe_levels(cells: Sequence[int], row_multiple: int) -> tuple[tuple[str, str], ...]:
    """Rows of a system's description: geocells of each level, and rows of their table."""
    return tuple(
        (f"level {level}", f"{count} geocells in {padded_rows(count, row_multiple)} rows")
        for level, count in enumerate(cells)
    )
