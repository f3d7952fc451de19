"""TransLocator (Pramanick et al., ECCV 2022): two ViT, of a photo and of its segmentation, and a scene task.

The branches exchange their class tokens after each layer, an attention over them makes one vector, and
linear classifiers read geocells at several levels and the scene from it. The steps of the published ablation
are choices of the config: the photo alone, both branches without the exchange, with it, with scenes. Where
the publication is silent the choice is a field of `TransLocatorConfig`.
"""

from dataclasses import dataclass, replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from geosurge_jax.geo import Hierarchy
from geosurge_jax.input.record import SCENE_COUNTS
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
from geosurge_jax.models.tower import TowerConfig
from geosurge_jax.models.towers import AnyTower, make_tower
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
    DECISIONS,
    MISSING_ANCESTOR_RULES,
    describe_levels,
    finest_cell_log_prob,
    hierarchical_loss,
)
from geosurge_jax.systems.posterior import Posterior
from geosurge_jax.systems.scenes import scene_cross_entropy, scene_labels

FUSIONS = ("none", "late", "exchange")
SEGMENTATION_INPUTS = ("classes", "colours")


@dataclass(frozen=True)
class TransLocatorConfig:
    """Choices of the system.

    Attributes:
        visual: the photo's tower, and the segmentation's, which is of the same make. Where the segmentation
            comes as colours both begin with the weights of `config.init_from` and freeze the same part;
            where it comes as classes its tower begins at random and is trained as a whole, as no weights
            are made for such an input.
        fusion: "exchange", the published multimodal feature fusion, "late", both branches on their own up
            to the attention at the end, or "none", the photo alone.
        segmentation_input: "classes", the shares of every class in the cells of each patch, projected, or
            "colours", a picture painted with a colour for each class (both occur in the released code).
        semantic_classes: classes of the segmentation (ADE20K: 150).
        semantic_subgrid: cells along one side of a patch, for "classes" (ours: 1).
        attention_width: hidden width of the attention over the branches (released code: 8).
        attention_dropout: rate in it (released code: 0.2).
        level_weights: of the levels in the loss, coarse to fine (released code: 0.5, 0.3, 0.2).
        scenes: scenes that are learned beside the geocells: 3, 16 or 365 of Places365; 0 for none.
        scene_weight: of the scene in the loss (released code: 1).
        decision: "product", each finest cell's probability times those of its ancestors, or "finest", that
            level alone (not published; ours is "product").
        missing_ancestor: "mean" or "skip", see `hierarchical_log_prob` (ours: "mean").
        table_row_multiple: rows of the classifiers are padded to a multiple of this with masked ones;
            `fsdp * model` of the mesh has to divide it (ours).
        compute_dtype: "float32" or "bfloat16"; parameters are float32.
    """

    visual: AnyTower
    fusion: str
    segmentation_input: str
    semantic_classes: int
    semantic_subgrid: int
    attention_width: int
    attention_dropout: float
    level_weights: tuple[float, ...]
    scenes: int
    scene_weight: float
    decision: str
    missing_ancestor: str
    table_row_multiple: int
    compute_dtype: str

    def __post_init__(self) -> None:
        """Raises ValueError where values are unknown or do not fit each other, naming the config key."""
        for key, value, allowed in (
            ("fusion", self.fusion, FUSIONS),
            ("segmentation_input", self.segmentation_input, SEGMENTATION_INPUTS),
            ("scenes", self.scenes, (0, *SCENE_COUNTS)),
            ("decision", self.decision, DECISIONS),
            ("missing_ancestor", self.missing_ancestor, MISSING_ANCESTOR_RULES),
            ("compute_dtype", self.compute_dtype, ("float32", "bfloat16")),
        ):
            if value not in allowed:
                raise ValueError(f"config.system.{key}={value!r}: expected one of {allowed}")
        if isinstance(self.visual, ViTConfig) and self.visual.projection:
            raise ValueError(
                f"config.system.visual.projection={self.visual.projection}: expected 0, since the "
                f"classifiers read the class token"
            )
        if self.fusion == "exchange":
            _check_lockstep(self.visual)
        if self.fusion != "none" and self.segmentation_input == "classes":
            _check_class_input(self.visual, self.semantic_subgrid)

    @property
    def segmentation(self) -> AnyTower:
        """The segmentation's tower."""
        if self.segmentation_input == "classes" and isinstance(self.visual, ViTConfig):
            return replace(self.visual, trained_blocks=-1)
        return self.visual

    @property
    def exchanges(self) -> int:
        """Layers after which the branches exchange their class tokens: all but the last."""
        if self.fusion == "exchange" and isinstance(self.visual, ViTConfig):
            return self.visual.shape.depth - 1
        return 0

    @property
    def towers(self) -> dict[str, TowerConfig]:
        """Towers that see pictures, which weights of others are for, by the path of their parameters."""
        if self.fusion == "none" or self.segmentation_input == "classes":
            return {"visual": self.visual}
        return {"visual": self.visual, "segmentation": self.segmentation}

    @property
    def frozen_rules(self) -> tuple[str, ...]:
        """Path patterns of the parameters that are not trained."""
        branches = {"visual": self.visual}
        if self.fusion != "none":
            branches["segmentation"] = self.segmentation
        return tuple(
            f"^{path}/{rule}" for path, tower in branches.items() for rule in tower.frozen_rules
        )


def _check_lockstep(tower: TowerConfig) -> None:
    """Raises ValueError where two of a tower cannot run block by block and exchange class tokens."""
    if not isinstance(tower, ViTConfig) or not tower.design.class_token:
        raise ValueError(
            f"config.system.visual.kind={tower.kind!r}: expected a ViT with a class token, which "
            f"config.system.fusion='exchange' exchanges"
        )
    if tower.scan:
        raise ValueError(
            "config.system.visual.scan=True: expected False, since config.system.fusion='exchange' runs "
            "the blocks of two towers in turn"
        )


def _check_class_input(tower: TowerConfig, subgrid: int) -> None:
    """Raises ValueError where a tower cannot take the class shares of patches for pixels."""
    if not isinstance(tower, ViTConfig):
        raise ValueError(
            f"config.system.segmentation_input='classes': expected 'colours', since a tower of "
            f"config.system.visual.kind={tower.kind!r} takes pictures alone"
        )
    if subgrid < 1 or tower.preprocessing.image_size % (tower.grid * subgrid):
        raise ValueError(
            f"config.system.semantic_subgrid={subgrid}: expected 1 or more cells along a patch that cut "
            f"{tower.preprocessing.image_size} pixels evenly"
        )


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
        flops=analytic_flops(config, cells),
        description=describe_levels(cells, config.table_row_multiple)
        + ((("scenes", str(config.scenes)),) if config.scenes else ()),
    )
