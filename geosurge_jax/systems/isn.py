"""Individual scene networks (Mueller-Budack et al., ECCV 2018), and the plain classifiers that they build on.

One linear classifier a level of geocells on the pooled vector of an image tower. With one level this is the
paper's base(L, .), and PlaNet's design (Weyand et al., ECCV 2016); with several it is base(M, .), the sum
of the levels' cross-entropies, read by the finest level alone (f) or by the product over the levels (f*).
With scenes, networks are specialised: a photo's scene decides which of them answers. In the paper the scene
comes from a ResNet-152 trained on Places365; here a head of the system learns it from the photos' scene
labels (ours).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from geosurge_jax.geo import Hierarchy
from geosurge_jax.models import geocell_table
from geosurge_jax.models.geocell_table import GeocellTable
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    gather_vectors,
    replicated,
    under,
)
from geosurge_jax.models.tower import TowerConfig
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
from geosurge_jax.systems.hierarchical import (
    DECISIONS,
    MISSING_ANCESTOR_RULES,
    describe_levels,
    finest_cell_log_prob,
    hierarchical_loss,
)
from geosurge_jax.systems.posterior import Posterior
from geosurge_jax.systems.scenes import scene_cross_entropy, scene_labels

# Of each network on the cells of each level, and of the gate on the scenes.
NetworkScores = tuple[tuple[tuple[jax.Array, ...], ...], jax.Array | None]

SCENE_NETWORKS = ("shared", "separate")
SCENES = (0, 3, 16)


@dataclass(frozen=True)
class IsnConfig:
    """Choices of the system.

    Attributes:
        visual: the image tower, of each network.
        scenes: number of specialised networks, one a scene: 0 for one network for all, 3 (published: indoor,
            natural, urban) or 16, the coarse scenes of Places365.
        scene_networks: "separate", a tower for each scene (published), or "shared", one tower with a
            classifier for each scene (ours); with "separate" every photo passes all towers.
        gate_weight: weight of the cross-entropy that teaches the gate (ours).
        decision: "product", each finest cell's probability times those of its ancestors (f*), or "finest",
            that of the finest level alone (f).
        missing_ancestor: "mean" or "skip", see `hierarchical_log_prob` (not published; ours is "mean").
        table_row_multiple: rows of the tables are padded to a multiple of this with masked ones;
            `fsdp * model` of the mesh has to divide it (ours).
        compute_dtype: "float32" or "bfloat16"; parameters are float32.
    """

    visual: AnyTower
    scenes: int
    scene_networks: str
    gate_weight: float
    decision: str
    missing_ancestor: str
    table_row_multiple: int
    compute_dtype: str

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        check_choices(
            ("scenes", self.scenes, SCENES),
            ("scene_networks", self.scene_networks, SCENE_NETWORKS),
            ("decision", self.decision, DECISIONS),
            ("missing_ancestor", self.missing_ancestor, MISSING_ANCESTOR_RULES),
            ("compute_dtype", self.compute_dtype, COMPUTE_DTYPES),
        )
        if self.gate_weight <= 0:
            raise ValueError(f"config.system.gate_weight={self.gate_weight}: expected above 0")

    @property
    def tower_paths(self) -> tuple[str, ...]:
        """Paths of the towers: one for each scene where networks are separate."""
        if self.scenes and self.scene_networks == "separate":
            return tuple(f"scenes_{scene}" for scene in range(self.scenes))
        return ("visual",)

    @property
    def table_paths(self) -> tuple[str, ...]:
        """Paths of the classifiers: one for each network."""
        return tuple(f"table_{scene}" for scene in range(max(self.scenes, 1)))


class SceneNetworks(nn.Module):
    """Photo to scores on the cells of every level, by every network, and to scores on the scenes."""

    config: IsnConfig
    cells: tuple[int, ...]

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> NetworkScores:
        """Scores `image uint8 [B, H, W, 3]`.

        Returns:
            For each network one float32 `[B, padded K_l]` a level; scores on the scenes float32 `[B, S]`,
            None where there is one network for all.
        """
        config, dtype = self.config, jnp.dtype(self.config.compute_dtype)
        pooled = [
            constrain_batch(make_tower(config.visual, dtype, path)(image, train=train).pooled)
            for path in config.tower_paths
        ]
        scores = tuple(
            GeocellTable(
                cells=self.cells,
                width=config.visual.width,
                row_multiple=config.table_row_multiple,
                targets="class",
                initial_temperature=1.0,
                dtype=dtype,
                name=path,
            )(pooled[network % len(pooled)])
            for network, path in enumerate(config.table_paths)
        )
        if not config.scenes:
            return scores, None
        seen = jnp.concatenate(pooled, axis=-1)
        if config.scene_networks == "separate":
            # A network for one scene is not to learn from the photos of the others by way of the gate.
            seen = jax.lax.stop_gradient(seen)
        gate = nn.Dense(config.scenes, dtype=dtype, name="gate")(seen)
        return scores, constrain_batch(gate.astype(jnp.float32))


def of_network(scores: Sequence[Sequence[jax.Array]], network: jax.Array) -> tuple[jax.Array, ...]:
    """The scores that each photo's own network gives.

    Args:
        scores: for each of S networks one `[B, K_l]` a level.
        network: int32 `[B]`, 0 to S - 1.

    Returns:
        One `[B, K_l]` a level.
    """
    network = gather_vectors(network)[:, None]
    chosen = tuple(scores[0])
    for number, others in enumerate(scores[1:], start=1):
        chosen = tuple(
            jnp.where(network == number, other, so_far)
            for other, so_far in zip(others, chosen, strict=True)
        )
    return chosen


def partition_rules(config: IsnConfig) -> PartitionRules:
    """How the parameters lie on the mesh, part by part."""
    gate = (
        (("^gate/kernel$", PartitionSpec(STORAGE_AXIS)), replicated("^gate/bias$"))
        if config.scenes
        else ()
    )
    towers = "visual" if config.tower_paths == ("visual",) else r"scenes_\d+"
    return (
        *under(r"table_\d+", geocell_table.partition_rules("class")),
        *under(towers, config.visual.partition_rules),
        *gate,
    )


def analytic_flops(config: IsnConfig, cells: tuple[int, ...]) -> FlopsPerPhoto:
    """Cost of a photo: all networks, since which of them answers is known when they have run."""
    frozen, trained = (len(config.tower_paths) * part for part in config.visual.flops)
    width = config.visual.width
    trained += 2 * width * sum(cells) * len(config.table_paths)
    trained += 2 * width * len(config.tower_paths) * config.scenes
    return FlopsPerPhoto(forward=frozen + trained, training=frozen + 3 * trained)


def build(config: IsnConfig, hierarchy: Hierarchy, survey: Survey) -> System:
    """Builds the system over a hierarchy of geocells.

    Args:
        config: the choices above.
        hierarchy: partitions coarse to fine with the ancestor table; one level for base(L, .) and PlaNet.
        survey: nothing is taken from it.

    Returns:
        The pure functions of the contract; targets are `cells int32 [M, L]`, -1 where dropped.
    """
    del survey
    cells = tuple(len(partition.ids) for partition in hierarchy.partitions)
    model = SceneNetworks(config, cells)
    cell_latlng = hierarchy.partitions[-1].latlng.astype(np.float32)

    def init(key: jax.Array, batch: Batch) -> Params:
        return dict(model.init(key, batch["image"], train=False)["params"])

    def apply(params: Params, batch: Batch, key: jax.Array | None) -> NetworkScores:
        rngs = None if key is None else {"dropout": key}
        return model.apply({"params": params}, batch["image"], train=key is not None, rngs=rngs)  # pyright: ignore[reportReturnType]

    def loss(
        params: Params, memory: Memory, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, Metrics]:
        del memory
        scores, gate = apply(params, batch, key)
        if gate is None:
            return hierarchical_loss(scores[0], batch["cells"], "level")
        labels = scene_labels(batch, config.scenes)
        network = jnp.where(labels >= 0, labels, jnp.argmax(gate, axis=-1))
        total, metrics = hierarchical_loss(of_network(scores, network), batch["cells"], "level")
        gate_loss, gate_metrics = scene_cross_entropy(gate, labels)
        return total + config.gate_weight * gate_loss, {**metrics, **gate_metrics}

    def posterior(params: Params, prepared: Prepared, batch: Batch) -> Posterior:
        del prepared
        networks, gate = apply(params, batch, None)
        network = jnp.zeros(networks[0][0].shape[0], jnp.int32)
        scores = of_network(networks, network if gate is None else jnp.argmax(gate, axis=-1))
        log_prob = finest_cell_log_prob(scores, hierarchy, config.decision, config.missing_ancestor)
        return Posterior(latlng=jnp.asarray(cell_latlng), log_prob=log_prob)

    towers: dict[str, TowerConfig] = {path: config.visual for path in config.tower_paths}
    return System(
        name="isn",
        init=init,
        loss=loss,
        posterior=posterior,
        targets=lambda latlng: {"cells": hierarchy.assign(latlng)},
        partition_rules=partition_rules(config),
        frozen_rules=tuple(
            f"^{path}/{rule}" for path in towers for rule in config.visual.frozen_rules
        ),
        towers=towers,
        flops=analytic_flops(config, cells),
        description=(
            (
                "scene networks",
                f"{config.scenes}, {config.scene_networks}" if config.scenes else "none",
            ),
            *describe_levels(cells, config.table_row_multiple),
        ),
    )
