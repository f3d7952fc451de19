"""GeoDecoder (Clark et al., "Where We Are and What We're Looking At", CVPR 2023).

An image's tokens are decoded by a learned query for each pair of hierarchy and scene; the queries of the
scene that is believed in most are classified, one for each level of geocells. Where the publication is
silent the choice is a field of `GeoDecoderConfig`.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.dataset.record import SCENE_COUNTS
from geosurge_jax.geo import Hierarchy
from geosurge_jax.models import geocell_table
from geosurge_jax.models.geocell_table import GeocellTable
from geosurge_jax.models.query_decoder import (
    QueryDecoder,
    QueryDecoderConfig,
    queries_of_scene,
    scene_confidences,
    straight_through,
)
from geosurge_jax.models.sharding import PartitionRules, constrain_batch, under
from geosurge_jax.models.towers import AnyTower, make_tower
from geosurge_jax.models.vit_config import ViTConfig
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
from geosurge_jax.systems.hierarchical import (
    MISSING_ANCESTOR_RULES,
    describe_levels,
    hierarchical_log_prob,
    hierarchical_loss,
)
from geosurge_jax.systems.posterior import Posterior
from geosurge_jax.systems.scenes import scene_cross_entropy, scene_labels

TRAINING_SCENES = ("straight_through", "label")


@dataclass(frozen=True)
class GeoDecoderConfig:
    """Choices of the system.

    Attributes:
        visual: the image tower; its tokens and its pooled vector are what queries look at.
        decoder: the queries' layers.
        scenes: 3, 16 (published) or 365 scenes of Places365.
        training_scene: whose queries are classified in training: "straight_through", those of the scene with
            the highest confidence, as in inference, with the gradient of a softmax, or "label", those of the
            photo's own scene where it is known, else as before (not published; ours: "straight_through").
        scene_weight: of the cross-entropy of the confidences with the photo's scene in the loss
            (development code: 1).
        level_weights: of the levels in the loss, coarse to fine; empty for 1 each (development code: 0.5,
            0.3, 0.2 for its three levels; of seven not published, ours is 1 each).
        label_smoothing: share of a label's weight that all cells of its level take (development code: 0.1).
        missing_ancestor: "mean" or "skip", see `hierarchical_log_prob` (ours: "mean").
        table_row_multiple: rows of the classifiers are padded to a multiple of this with masked ones;
            `fsdp * model` of the mesh has to divide it (ours).
        compute_dtype: "float32" or "bfloat16"; parameters are float32.
    """

    visual: AnyTower
    decoder: QueryDecoderConfig
    scenes: int
    training_scene: str
    scene_weight: float
    level_weights: tuple[float, ...]
    label_smoothing: float
    missing_ancestor: str
    table_row_multiple: int
    compute_dtype: str

    def __post_init__(self) -> None:
        """Raises ValueError where a value is unknown, naming the config key."""
        check_choices(
            ("scenes", self.scenes, SCENE_COUNTS),
            ("training_scene", self.training_scene, TRAINING_SCENES),
            ("missing_ancestor", self.missing_ancestor, MISSING_ANCESTOR_RULES),
            ("compute_dtype", self.compute_dtype, COMPUTE_DTYPES),
        )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"config.system.label_smoothing={self.label_smoothing}: expected 0 to below 1"
            )
        if isinstance(self.visual, ViTConfig) and self.visual.projection:
            raise ValueError(
                f"config.system.visual.projection={self.visual.projection}: expected 0, since class token "
                f"and patches are looked at together"
            )


class GeoDecoder(nn.Module):
    """Photo to scores on the cells of every level, and confidences in scenes."""

    config: GeoDecoderConfig
    cells: tuple[int, ...]

    @nn.compact
    def __call__(
        self, image: jax.Array, scene: jax.Array | None, *, train: bool
    ) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Scores `image uint8 [B, H, W, 3]`.

        Args:
            image: the photos.
            scene: int32 `[B]`, the scenes whose queries are classified, -1 where that is to be found; None
                to find it for all.
            train: whether dropout is on.

        Returns:
            One float32 `[B, padded K_l]` a level, and confidences float32 `[B, S]`.
        """
        config, dtype = self.config, jnp.dtype(self.config.compute_dtype)
        features = make_tower(config.visual, dtype, "visual")(image, train=train)
        tokens = jnp.concatenate([features.pooled[:, None], features.tokens], axis=1)
        decoder = QueryDecoder(
            config.decoder, len(self.cells), config.scenes, dtype, name="decoder"
        )
        queries = decoder(constrain_batch(tokens), train=train)
        confidences = scene_confidences(queries)
        weights = straight_through(confidences)
        if scene is not None:
            of_label = jax.nn.one_hot(scene, config.scenes)
            weights = jnp.where((scene >= 0)[:, None], of_label, weights)
        scores = GeocellTable(
            cells=self.cells,
            width=config.decoder.width,
            row_multiple=config.table_row_multiple,
            targets="class",
            initial_temperature=1.0,
            dtype=dtype,
            name="table",
        )(constrain_batch(queries_of_scene(queries, weights)))
        return scores, confidences


def partition_rules(config: GeoDecoderConfig) -> PartitionRules:
    """How the parameters lie on the mesh, part by part."""
    return (
        *under("table", geocell_table.partition_rules("class")),
        *under("visual", config.visual.partition_rules),
        *under("decoder", config.decoder.partition_rules),
    )


def analytic_flops(config: GeoDecoderConfig, cells: tuple[int, ...]) -> FlopsPerPhoto:
    """Cost of a photo: tower, decoder, and the scores on all cells."""
    frozen, trained = config.visual.flops
    tokens = config.visual.grid**2 + 1
    trained += config.decoder.flops(len(cells), config.scenes, tokens, config.visual.width)
    trained += 2 * config.decoder.width * (sum(cells) + len(cells) * config.scenes)
    return FlopsPerPhoto(forward=frozen + trained, training=frozen + 3 * trained)


def build(config: GeoDecoderConfig, hierarchy: Hierarchy, survey: Survey) -> System:
    """Builds the system over a hierarchy of geocells.

    Args:
        config: the choices above.
        hierarchy: partitions coarse to fine with the ancestor table.
        survey: nothing more is taken from the training locations.

    Returns:
        The pure functions of the contract; targets are `cells int32 [M, L]`, -1 where dropped.

    Raises:
        ValueError: the hierarchy has another number of levels than there are weights.
    """
    del survey
    cells = tuple(len(partition.ids) for partition in hierarchy.partitions)
    if len(config.level_weights) not in (0, len(cells)):
        raise ValueError(
            f"config.system.level_weights={config.level_weights}: expected {len(cells)}, one for each level "
            f"of the geocells, or none"
        )
    model = GeoDecoder(config, cells)
    cell_latlng = hierarchy.partitions[-1].latlng.astype(np.float32)

    def init(key: jax.Array, batch: Batch) -> Params:
        return dict(model.init(key, batch["image"], None, train=False)["params"])

    def outputs(
        params: Params, batch: Batch, scene: jax.Array | None, key: jax.Array | None
    ) -> tuple[tuple[jax.Array, ...], jax.Array]:
        rngs = None if key is None else {"dropout": key}
        return model.apply(
            {"params": params}, batch["image"], scene, train=key is not None, rngs=rngs
        )  # pyright: ignore[reportReturnType]

    def loss(
        params: Params, memory: Memory, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, Metrics]:
        del memory
        labels = scene_labels(batch, config.scenes)
        taught = key is not None and config.training_scene == "label"
        scores, confidences = outputs(params, batch, labels if taught else None, key)
        total, metrics = hierarchical_loss(
            scores, batch["cells"], "level", config.level_weights or None, config.label_smoothing
        )
        scene, of_scene = scene_cross_entropy(confidences, labels)
        return total + config.scene_weight * scene, {**metrics, **of_scene}

    def posterior(params: Params, prepared: Prepared, batch: Batch) -> Posterior:
        del prepared
        scores, _ = outputs(params, batch, None, None)
        log_prob = hierarchical_log_prob(scores, hierarchy, config.missing_ancestor)
        return Posterior(latlng=jnp.asarray(cell_latlng), log_prob=log_prob)

    return System(
        name="geodecoder",
        init=init,
        loss=loss,
        posterior=posterior,
        targets=lambda latlng: {"cells": hierarchy.assign(latlng)},
        partition_rules=partition_rules(config),
        frozen_rules=tuple(f"^visual/{rule}" for rule in config.visual.frozen_rules),
        towers={"visual": config.visual},
        reads_tokens=True,
        flops=analytic_flops(config, cells),
        description=(
            *describe_levels(cells, config.table_row_multiple),
            ("queries", f"{len(cells)} levels x {config.scenes} scenes"),
        ),
    )
