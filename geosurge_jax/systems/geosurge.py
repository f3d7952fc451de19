"""GeoSURGE (Daruna et al., CVPR 2026): geocell vectors at several scales and semantic fusion.

A ViT's tokens are fused with a semantic map's by latent cross-attention into a visual vector; for every
level of a hierarchy of geocells the vector is contrasted with the learned vectors of all cells of that
level. Where the publication is silent the choice is a field of `GeoSurgeConfig`.
"""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from geosurge_jax.geo import Hierarchy
from geosurge_jax.models import geocell_table, semantic
from geosurge_jax.models.flops import fusion_flops
from geosurge_jax.models.fusion import Fusion, FusionConfig
from geosurge_jax.models.geocell_table import TARGETS, GeocellTable
from geosurge_jax.models.semantic import SemanticTokens
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    replicated,
    under,
)
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
    NEGATIVES,
    describe_levels,
    hierarchical_log_prob,
    hierarchical_loss,
)
from geosurge_jax.systems.posterior import Posterior


@dataclass(frozen=True)
class GeoSurgeConfig:
    """Choices of the system.

    Attributes:
        visual: the image tower.
        fusion: the fusion of its tokens with the semantic ones.
        embedding_width: E, width of the visual vector and of a cell's vector (published: 768).
        semantic_classes: classes of the semantic map (ADE20K: 150).
        table_row_multiple: rows of the tables are padded to a multiple of this with masked ones;
            `fsdp * model` of the mesh has to divide it (ours).
        initial_temperature: start of each level's temperature (published: 0.07).
        negatives: "level", all cells of a level, or "batch" (not published; ours is "level").
        targets: "embedding" or "class" (the published ablation).
        missing_ancestor: "mean" or "skip", see `hierarchical_log_prob` (not published; ours is "mean").
        compute_dtype: "float32" or "bfloat16"; parameters are float32.
    """

    visual: AnyTower
    fusion: FusionConfig
    embedding_width: int
    semantic_classes: int
    table_row_multiple: int
    initial_temperature: float
    negatives: str
    targets: str
    missing_ancestor: str
    compute_dtype: str

    def __post_init__(self) -> None:
        """Raises ValueError where a name is unknown, naming the config key."""
        check_choices(
            ("negatives", self.negatives, NEGATIVES),
            ("targets", self.targets, TARGETS),
            ("missing_ancestor", self.missing_ancestor, MISSING_ANCESTOR_RULES),
            ("compute_dtype", self.compute_dtype, COMPUTE_DTYPES),
        )
        cells = self.visual.grid * self.fusion.semantic_subgrid
        if self.fusion.kind != "none" and self.visual.preprocessing.image_size % cells:
            raise ValueError(
                f"config.system.visual.preprocessing.image_size={self.visual.preprocessing.image_size}: "
                f"expected a multiple of {cells}, so that class maps are cut where the tower's tokens are"
            )
        if isinstance(self.visual, ViTConfig) and self.visual.projection:
            raise ValueError(
                f"config.system.visual.projection={self.visual.projection}: expected 0, since class token "
                f"and patches meet at one width"
            )


class GeoSurge(nn.Module):
    """Photo and class map to scores on the cells of every level."""

    config: GeoSurgeConfig
    cells: tuple[int, ...]

    @nn.compact
    def __call__(
        self, image: jax.Array, class_map: jax.Array, *, train: bool
    ) -> tuple[jax.Array, ...]:
        """Scores `image uint8 [B, H, W, 3]` with `class_map uint8 [B, H, W]`.

        Returns:
            One float32 `[B, padded K_l]` a level.
        """
        config, dtype = self.config, jnp.dtype(self.config.compute_dtype)
        features = make_tower(config.visual, dtype, "visual")(image, train=train)
        if config.fusion.kind == "none":
            fused = features.pooled
        else:
            semantic_tokens = SemanticTokens(
                classes=config.semantic_classes,
                patch_grid=config.visual.grid,
                subgrid=config.fusion.semantic_subgrid,
                width=config.visual.width,
                dtype=dtype,
                name="semantic",
            )(class_map)
            rgb = jnp.concatenate([features.pooled[:, None], features.tokens], axis=1)
            fused = Fusion(config.fusion, dtype, name="fusion")(rgb, semantic_tokens, train=train)
        fused = nn.LayerNorm(dtype=dtype, name="head_norm")(constrain_batch(fused))
        visual = nn.Dense(config.embedding_width, dtype=dtype, name="head")(fused)
        return GeocellTable(
            cells=self.cells,
            width=config.embedding_width,
            row_multiple=config.table_row_multiple,
            targets=config.targets,
            initial_temperature=config.initial_temperature,
            dtype=dtype,
            name="table",
        )(visual)


def partition_rules(config: GeoSurgeConfig) -> PartitionRules:
    """How the parameters lie on the mesh, part by part."""
    fusion = (
        ()
        if config.fusion.kind == "none"
        else (
            *under("semantic", semantic.PARTITION_RULES),
            *under("fusion", config.fusion.partition_rules),
        )
    )
    return (
        *under("table", geocell_table.partition_rules(config.targets)),
        *under("visual", config.visual.partition_rules),
        *fusion,
        ("^head/kernel$", PartitionSpec(STORAGE_AXIS)),
        replicated("^(head_norm/(scale|bias)|head/bias)$"),
    )


def analytic_flops(config: GeoSurgeConfig, cells: tuple[int, ...]) -> FlopsPerPhoto:
    """Cost of a photo: towers, fusion, head and the scores on all cells."""
    frozen, trained = config.visual.flops
    width, patches = config.visual.width, config.visual.grid**2
    trained += fusion_flops(config.fusion, patches, width, config.semantic_classes)
    trained += 2 * config.embedding_width * (width + sum(cells))
    return FlopsPerPhoto(forward=frozen + trained, training=frozen + 3 * trained)


def build(config: GeoSurgeConfig, hierarchy: Hierarchy, survey: Survey) -> System:
    """Builds the system over a hierarchy of geocells.

    Args:
        config: the choices above.
        hierarchy: partitions coarse to fine with the ancestor table.
        survey: nothing more is taken from the training locations.

    Returns:
        The pure functions of the contract; targets are `cells int32 [M, L]`, -1 where dropped.
    """
    del survey
    cells = tuple(len(partition.ids) for partition in hierarchy.partitions)
    model = GeoSurge(config, cells)
    cell_latlng = hierarchy.partitions[-1].latlng.astype(np.float32)

    def init(key: jax.Array, batch: Batch) -> Params:
        variables = model.init(key, batch["image"], batch["segmentation"], train=False)
        return dict(variables["params"])

    def scores(params: Params, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, ...]:
        rngs = None if key is None else {"dropout": key}
        return model.apply(
            {"params": params},
            batch["image"],
            batch["segmentation"],
            train=key is not None,
            rngs=rngs,
        )  # pyright: ignore[reportReturnType]

    def embed(params: Params, batch: Batch) -> jax.Array:
        """The visual vector v `[B, E]` that the geocells' vectors are compared with."""
        captured: Any
        _, captured = model.apply(
            {"params": params},
            batch["image"],
            batch["segmentation"],
            train=False,
            capture_intermediates=lambda module, _: module.name == "head",
        )
        return captured["intermediates"]["head"]["__call__"][0]

    def loss(
        params: Params, memory: Memory, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, Metrics]:
        del memory
        return hierarchical_loss(scores(params, batch, key), batch["cells"], config.negatives)

    def posterior(params: Params, prepared: Prepared, batch: Batch) -> Posterior:
        del prepared
        log_prob = hierarchical_log_prob(
            scores(params, batch, None), hierarchy, config.missing_ancestor
        )
        return Posterior(latlng=jnp.asarray(cell_latlng), log_prob=log_prob)

    return System(
        name="geosurge",
        init=init,
        loss=loss,
        posterior=posterior,
        targets=lambda latlng: {"cells": hierarchy.assign(latlng)},
        partition_rules=partition_rules(config),
        frozen_rules=tuple(f"^visual/{rule}" for rule in config.visual.frozen_rules),
        towers={"visual": config.visual},
        reads_tokens=config.fusion.kind != "none",
        reads_segmentation=config.fusion.kind != "none",
        embed=embed,
        flops=analytic_flops(config, cells),
        description=describe_levels(cells, config.table_row_multiple),
    )
