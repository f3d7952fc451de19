"""Choices of TransLocator, and what they exclude of each other; see `translocator`."""

from dataclasses import dataclass, replace

from geosurge_jax.dataset.record import SCENE_COUNTS
from geosurge_jax.models.tower import TowerConfig
from geosurge_jax.models.towers import AnyTower
from geosurge_jax.models.vit_config import ViTConfig
from geosurge_jax.systems.choices import COMPUTE_DTYPES, check_choices
from geosurge_jax.systems.hierarchical import DECISIONS, MISSING_ANCESTOR_RULES

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
        check_choices(
            ("fusion", self.fusion, FUSIONS),
            ("segmentation_input", self.segmentation_input, SEGMENTATION_INPUTS),
            ("scenes", self.scenes, (0, *SCENE_COUNTS)),
            ("decision", self.decision, DECISIONS),
            ("missing_ancestor", self.missing_ancestor, MISSING_ANCESTOR_RULES),
            ("compute_dtype", self.compute_dtype, COMPUTE_DTYPES),
        )
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
