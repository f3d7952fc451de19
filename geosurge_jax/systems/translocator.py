"""TransLocator (Pramanick et al., ECCV 2022): two ViT, of a photo and of its segmentation, and a scene task.

The branches exchange their class tokens after each layer, an attention over them makes one vector, and
linear classifiers read geocells at several levels and the scene from it. The steps of the published ablation
are choices of the config: the photo alone, both branches without the exchange, with it, with scenes. Where
the publication is silent the choice is a field of `TransLocatorConfig`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from geosurge_jax.geo import Hierarchy
from geosurge_jax.models import dual_tower, geocell_table
from geosurge_jax.models.dual_tower import (
    BranchAttention,
    ClassTokenFusion,
    dual_tower_flops,
    run_in_lockstep,
)
from geosurge_jax.models.geocell_table import GeocellTable
from geosurge_jax.models.palette import colour_picture
from geosurge_jax.models.semantic import patch_class_shares
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    replicated,
    under,
)
from geosurge_jax.models.towers import make_tower
from geosurge_jax.models.vit import ViT
from geosurge_jax.models.vit_config import ViTConfig
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
    describe_levels,
    finest_cell_log_prob,
    hierarchical_loss,
)
from geosurge_jax.systems.posterior import Posterior
from geosurge_jax.systems.scenes import scene_cross_entropy, scene_labels
from geosurge_jax.systems.translocator_config import TransLocatorConfig


class TransLocator(nn.Module):
    """Photo and class map to scores on the cells of every level and on the scenes."""

    config: TransLocatorConfig
    cells: tuple[int, ...]

    @nn.compact
    def __call__(
        self, image: jax.Array, class_map: jax.Array, *, train: bool
    ) -> tuple[tuple[jax.Array, ...], jax.Array | None]:
        """Scores `image uint8 [B, H, W, 3]` with `class_map uint8 [B, H, W]`.

        Returns:
            One float32 `[B, padded K_l]` a level, and float32 `[B, S]` on the scenes, None without them.
        """
        config, dtype = self.config, jnp.dtype(self.config.compute_dtype)
        if config.fusion == "none":
            fused = make_tower(config.visual, dtype, "visual")(image, train=train).pooled
        else:
            branches = self._branches(image, class_map, train=train)
            fused = BranchAttention(
                config.attention_width, config.attention_dropout, dtype, name="branch_attention"
            )(jnp.stack(branches, axis=1), train=train)
        fused = constrain_batch(fused)
        scores = GeocellTable(
            cells=self.cells,
            width=config.visual.width,
            row_multiple=config.table_row_multiple,
            targets="class",
            initial_temperature=1.0,
            dtype=dtype,
            name="table",
        )(fused)
        if not config.scenes:
            return scores, None
        logits = nn.Dense(config.scenes, dtype=dtype, name="scene_head")(fused)
        return scores, logits.astype(jnp.float32)

    def _branches(
        self, image: jax.Array, class_map: jax.Array, *, train: bool
    ) -> tuple[jax.Array, ...]:
        """The vectors `[B, D]` of the photo and of the segmentation."""
        config, dtype = self.config, jnp.dtype(self.config.compute_dtype)
        visual = make_tower(config.visual, dtype, "visual")
        segmentation = make_tower(config.segmentation, dtype, "segmentation")
        if config.fusion == "late" and config.segmentation_input == "colours":
            picture = colour_picture(class_map, config.semantic_classes)
            return visual(image, train=train).pooled, segmentation(picture, train=train).pooled
        # What the config's own checks leave.
        assert isinstance(visual, ViT) and isinstance(segmentation, ViT)
        if config.segmentation_input == "colours":
            tokens = segmentation.embed(colour_picture(class_map, config.semantic_classes))
        else:
            grid, subgrid = config.visual.grid, config.semantic_subgrid
            tokens = segmentation.embed_patches(
                patch_class_shares(class_map, config.semantic_classes, grid, subgrid, dtype)
            )
        if config.fusion == "late":
            return visual(image, train=train).pooled, segmentation.encode(
                tokens, train=train
            ).pooled
        fusions = [
            ClassTokenFusion(dtype, name=f"token_fusion_{layer:02d}")
            for layer in range(config.exchanges)
        ]
        features = run_in_lockstep(
            (visual, segmentation), (visual.embed(image), tokens), fusions, train=train
        )
        return tuple(one.pooled for one in features)


def partition_rules(config: TransLocatorConfig) -> PartitionRules:
    """How the parameters lie on the mesh, part by part."""
    rules = [
        *under("table", geocell_table.partition_rules("class")),
        *under("visual", config.visual.partition_rules),
    ]
    if config.fusion != "none":
        rules += under("segmentation", config.segmentation.partition_rules)
        rules += under("branch_attention", dual_tower.BRANCH_ATTENTION_RULES)
    if config.exchanges:
        rules += under(r"token_fusion_\d+", dual_tower.TOKEN_FUSION_RULES)
    if config.scenes:
        rules += [
            ("^scene_head/kernel$", PartitionSpec(STORAGE_AXIS)),
            replicated("^scene_head/bias$"),
        ]
    return tuple(rules)


def analytic_flops(config: TransLocatorConfig, cells: tuple[int, ...]) -> FlopsPerPhoto:
    """Cost of a photo: towers, what joins them, and the scores on cells and scenes."""
    frozen, trained = config.visual.flops
    width, patches = config.visual.width, config.visual.grid**2
    if config.fusion != "none":
        more_frozen, more_trained = config.segmentation.flops
        frozen, trained = frozen + more_frozen, trained + more_trained
        if config.segmentation_input == "classes" and isinstance(config.visual, ViTConfig):
            channels = config.semantic_subgrid**2 * config.semantic_classes
            trained += 2 * patches * width * (channels - 3 * config.visual.patch**2)
        trained += dual_tower_flops(width, config.exchanges, 2, config.attention_width)
    trained += 2 * width * (sum(cells) + config.scenes)
    return FlopsPerPhoto(forward=frozen + trained, training=frozen + 3 * trained)


def build(config: TransLocatorConfig, hierarchy: Hierarchy, survey: Survey) -> System:
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
    if len(config.level_weights) != len(cells):
        raise ValueError(
            f"config.system.level_weights={config.level_weights}: expected {len(cells)}, one for each level "
            f"of the geocells"
        )
    model = TransLocator(config, cells)
    cell_latlng = hierarchy.partitions[-1].latlng.astype(np.float32)

    def init(key: jax.Array, batch: Batch) -> Params:
        variables = model.init(key, batch["image"], batch["segmentation"], train=False)
        return dict(variables["params"])

    def outputs(
        params: Params, batch: Batch, key: jax.Array | None
    ) -> tuple[tuple[jax.Array, ...], jax.Array | None]:
        rngs = None if key is None else {"dropout": key}
        images = batch["image"], batch["segmentation"]
        return model.apply({"params": params}, *images, train=key is not None, rngs=rngs)  # pyright: ignore[reportReturnType]

    def loss(
        params: Params, memory: Memory, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, Metrics]:
        del memory
        scores, logits = outputs(params, batch, key)
        total, metrics = hierarchical_loss(scores, batch["cells"], "level", config.level_weights)
        if logits is None:
            return total, metrics
        scene, of_scene = scene_cross_entropy(logits, scene_labels(batch, config.scenes))
        return total + config.scene_weight * scene, {**metrics, **of_scene}

    def posterior(params: Params, prepared: Prepared, batch: Batch) -> Posterior:
        del prepared
        scores, _ = outputs(params, batch, None)
        log_prob = finest_cell_log_prob(scores, hierarchy, config.decision, config.missing_ancestor)
        return Posterior(latlng=jnp.asarray(cell_latlng), log_prob=log_prob)

    return System(
        name="translocator",
        init=init,
        loss=loss,
        posterior=posterior,
        targets=lambda latlng: {"cells": hierarchy.assign(latlng)},
        partition_rules=partition_rules(config),
        frozen_rules=config.frozen_rules,
        towers=config.towers,
        takes_features=config.fusion in ("none", "late"),
        reads_segmentation=config.fusion != "none",
        flops=analytic_flops(config, cells),
        description=describe_levels(cells, config.table_row_multiple)
        + ((("scenes", str(config.scenes)),) if config.scenes else ()),
    )
