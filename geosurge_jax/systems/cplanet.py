"""CPlaNet (Seo et al., ECCV 2018): several overlapping geoclass sets, read together.

One linear classifier for each of several partitions whose borders cross. No class is small, so each has many
photos to learn from, but the intersections of the sets' classes are, and a photo is placed in one of those:
every classifier votes for the intersections that its classes hold.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.geo import Hierarchy, grow_overlapping_sets, sets_from_arrays
from geosurge_jax.models import geocell_table
from geosurge_jax.models.geocell_table import GeocellTable, padded_rows
from geosurge_jax.models.sharding import PartitionRules, constrain_batch, under
from geosurge_jax.models.towers import AnyTower, make_tower
from geosurge_jax.systems.choices import COMPUTE_DTYPES, check_choices
from geosurge_jax.systems.contract import (
    Batch,
    FlopsPerPhoto,
    Memory,
    Metrics,
    Params,
    Prepared,
    Survey,
    System,
)
from geosurge_jax.systems.hierarchical import level_cross_entropy
from geosurge_jax.systems.posterior import Posterior

COMBINATIONS = ("probability", "log_probability")


@dataclass(frozen=True)
class CPlaNetConfig:
    """Choices of the system.

    Attributes:
        visual: the image tower.
        max_images: for each geoclass set the most training photos in a class (published: five sets made by
            merging base cells, and PlaNet's; ours are partitions of the turned sphere, the first not turned).
        relative_to: if not 0, all three numbers of photos are for so many training photos, and scale with
            their number (ours).
        min_images: classes with fewer training photos are dropped.
        min_intersection_images: intersections with fewer training photos are dropped (ours: 1, none).
        min_level: S2 level that the partitions start from.
        rotation_seed: of the rotations (ours).
        combination: what is added up over the sets: each class's "probability" (the votes of the paper), or
            its "log_probability", a product of the sets' probabilities (ours).
        table_row_multiple: rows of the tables are padded to a multiple of this with masked ones;
            `fsdp * model` of the mesh has to divide it (ours).
        compute_dtype: "float32" or "bfloat16"; parameters are float32.
    """

    visual: AnyTower
    max_images: tuple[int, ...]
    relative_to: int
    min_images: int
    min_intersection_images: int
    min_level: int
    rotation_seed: int
    combination: str
    table_row_multiple: int
    compute_dtype: str

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        check_choices(
            ("combination", self.combination, COMBINATIONS),
            ("compute_dtype", self.compute_dtype, COMPUTE_DTYPES),
        )
        if not self.max_images or min(self.max_images) < 1:
            raise ValueError(
                f"config.system.max_images={self.max_images}: expected a number of photos for each set"
            )


def survey_sets(config: CPlaNetConfig, latlng: np.ndarray, hierarchy: Hierarchy) -> Survey:
    """Grows the geoclass sets over the training locations `latlng float64 [M, 2]`; the geocells play no part.

    Raises:
        ValueError: no class or no intersection is left.
    """
    del hierarchy
    share = len(latlng) / config.relative_to if config.relative_to else 1.0

    def scaled(photos: int) -> int:
        return max(1, round(share * photos))

    return grow_overlapping_sets(
        latlng,
        [scaled(most) for most in config.max_images],
        min_images=scaled(config.min_images),
        min_intersection_images=scaled(config.min_intersection_images),
        min_level=config.min_level,
        seed=config.rotation_seed,
    ).arrays()


class CPlaNet(nn.Module):
    """Photo to scores on the classes of every set."""

    config: CPlaNetConfig
    classes: tuple[int, ...]

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Scores `image uint8 [B, H, W, 3]`; one float32 `[B, padded K_n]` a set."""
        config, dtype = self.config, jnp.dtype(self.config.compute_dtype)
        features = make_tower(config.visual, dtype, "visual")(image, train=train)
        return GeocellTable(
            cells=self.classes,
            width=config.visual.width,
            row_multiple=config.table_row_multiple,
            targets="class",
            initial_temperature=1.0,
            dtype=dtype,
            name="table",
        )(constrain_batch(features.pooled))


def intersection_log_prob(
    scores: Sequence[jax.Array], members: np.ndarray, classes: Sequence[int], combination: str
) -> jax.Array:
    """Log-probability of each intersection: its classes' normalised scores added up, then renormalised.

    Args:
        scores: one float32 `[B, >= K_n]` a set; columns beyond K_n are padding.
        members: int32 `[C, N]`, the class of each set that holds an intersection.
        classes: K_n of each set.
        combination: "probability" or "log_probability".

    Returns:
        float32 `[B, C]`, each row normalised.
    """
    votes = []
    for number, set_scores in enumerate(scores):
        # From rows of tables to photos, once: whatever follows needs no other device.
        set_scores = constrain_batch(set_scores)[:, : classes[number]]
        votes.append(jnp.take(jax.nn.log_softmax(set_scores, axis=-1), members[:, number], axis=1))
    add = jnp.logaddexp if combination == "probability" else jnp.add
    return constrain_batch(jax.nn.log_softmax(functools.reduce(add, votes), axis=-1))


def partition_rules(config: CPlaNetConfig) -> PartitionRules:
    """How the parameters lie on the mesh, part by part."""
    return (
        *under("table", geocell_table.partition_rules("class")),
        *under("visual", config.visual.partition_rules),
    )


def build(config: CPlaNetConfig, hierarchy: Hierarchy, survey: Survey) -> System:
    """Builds the system over its geoclass sets.

    Args:
        config: the choices above.
        hierarchy: nothing is taken from it.
        survey: the sets, from `survey_sets`.

    Returns:
        The pure functions of the contract; targets are `classes int32 [M, N]`, -1 where dropped.
    """
    del hierarchy
    sets = sets_from_arrays(survey)
    classes = tuple(len(partition) for partition in sets.partitions)
    model = CPlaNet(config, classes)
    latlng = sets.latlng.astype(np.float32)

    def init(key: jax.Array, batch: Batch) -> Params:
        return dict(model.init(key, batch["image"], train=False)["params"])

    def scores(params: Params, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, ...]:
        rngs = None if key is None else {"dropout": key}
        return model.apply({"params": params}, batch["image"], train=key is not None, rngs=rngs)  # pyright: ignore[reportReturnType]

    def loss(
        params: Params, memory: Memory, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, Metrics]:
        del memory
        total = jnp.zeros(batch["classes"].shape[0], jnp.float32)
        metrics: Metrics = {}
        for number, set_scores in enumerate(scores(params, batch, key)):
            label = batch["classes"][:, number]
            set_loss, correct = level_cross_entropy(set_scores, label, "level")
            total = total + set_loss
            weight = (label >= 0).astype(jnp.float32)
            metrics[f"loss/set_{number}"] = (set_loss, weight)
            metrics[f"accuracy/set_{number}"] = (correct.astype(jnp.float32), weight)
        return total, metrics

    def posterior(params: Params, prepared: Prepared, batch: Batch) -> Posterior:
        del prepared
        log_prob = intersection_log_prob(
            scores(params, batch, None), sets.members, classes, config.combination
        )
        return Posterior(latlng=jnp.asarray(latlng), log_prob=log_prob)

    frozen, trained = config.visual.flops
    trained += 2 * config.visual.width * sum(classes)
    return System(
        name="cplanet",
        init=init,
        loss=loss,
        posterior=posterior,
        targets=lambda latlng: {"classes": sets.assign(latlng)},
        partition_rules=partition_rules(config),
        frozen_rules=tuple(f"^visual/{rule}" for rule in config.visual.frozen_rules),
        towers={"visual": config.visual},
        flops=FlopsPerPhoto(forward=frozen + trained, training=frozen + 3 * trained),
        description=(
            *(
                (
                    f"set {number}",
                    f"{count} classes in {padded_rows(count, config.table_row_multiple)} rows",
                )
                for number, count in enumerate(classes)
            ),
            ("intersections", f"{len(sets.members)} that hold training photos"),
        ),
    )
