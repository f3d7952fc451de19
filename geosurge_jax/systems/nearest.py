"""[L] kNN, sigma = 4 (Vo, Jacobs and Hays, ICCV 2017): classified in training, matched in use.

A network learns to classify photos into geocells. In use its classes are not asked: the photo's embedding
is compared with those of all training photos, and a kernel density over the places of the k most similar
ones is the answer. Each photo's posterior stands on the places of its own k neighbours.
"""

import math
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from geosurge_jax.geo import Hierarchy, unit_vectors
from geosurge_jax.models import geocell_table
from geosurge_jax.models.geocell_table import GeocellTable, unit_norm
from geosurge_jax.models.neighbours import (
    kernel_log_density,
    nearest_rows,
    neighbour_log_weights,
)
from geosurge_jax.models.sharding import (
    STORAGE_AXIS,
    PartitionRules,
    constrain_batch,
    replicated,
    under,
)
from geosurge_jax.models.towers import AnyTower, make_tower
from geosurge_jax.systems.choices import COMPUTE_DTYPES, check_choices
from geosurge_jax.systems.contract import (
    Batch,
    FlopsPerPhoto,
    Index,
    Memory,
    Metrics,
    Params,
    Prepared,
    Survey,
    System,
)
from geosurge_jax.systems.hierarchical import describe_levels, hierarchical_loss
from geosurge_jax.systems.posterior import Posterior


@dataclass(frozen=True)
class NearestConfig:
    """Choices of the system. "Released" is what the authors' published program does.

    Attributes:
        visual: the image tower.
        embedding_width: E, width of the vector that is classified and compared.
        neighbours: k (released: 100).
        distance_power: p of a neighbour's weight d^-p, with d the squared distance of the unit-length
            embeddings, as its search library returns it (released: 10).
        spread_degrees: sigma, standard deviation of the Gaussian kernel (published: 4). The released program
            blurs a map of one pixel a degree of latitude and longitude; here it is degrees of arc along the
            surface, 445 km for 4, the same on all latitudes and across the date line (ours).
        table_row_multiple: rows of the tables are padded to a multiple of this with masked ones;
            `fsdp * model` of the mesh has to divide it (ours).
        compute_dtype: "float32" or "bfloat16"; parameters, and the comparison, are float32.
    """

    visual: AnyTower
    embedding_width: int
    neighbours: int
    distance_power: float
    spread_degrees: float
    table_row_multiple: int
    compute_dtype: str

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        check_choices(("compute_dtype", self.compute_dtype, COMPUTE_DTYPES))
        for key, value, fine, expected in (
            ("neighbours", self.neighbours, self.neighbours >= 1, "1 or more"),
            ("distance_power", self.distance_power, self.distance_power >= 0, "0 or more"),
            ("spread_degrees", self.spread_degrees, self.spread_degrees > 0, "above 0"),
        ):
            if not fine:
                raise ValueError(f"config.system.{key}={value}: expected {expected}")


class Nearest(nn.Module):
    """Photo to its embedding, and to scores on the cells of every level."""

    config: NearestConfig
    cells: tuple[int, ...]

    def setup(self) -> None:
        """Names the parts: the embedding is asked for without the scores."""
        config, dtype = self.config, jnp.dtype(self.config.compute_dtype)
        self.visual = make_tower(config.visual, dtype)
        self.head = nn.Dense(config.embedding_width, dtype=dtype)
        self.table = GeocellTable(
            cells=self.cells,
            width=config.embedding_width,
            row_multiple=config.table_row_multiple,
            targets="class",
            initial_temperature=1.0,
            dtype=dtype,
        )

    def embed(self, image: jax.Array, *, train: bool) -> jax.Array:
        """The vector `[B, E]` of `image uint8 [B, H, W, 3]`, of any length."""
        features = self.visual(image, train=train)
        return constrain_batch(self.head(constrain_batch(features.pooled)))

    def __call__(self, image: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Scores `image uint8 [B, H, W, 3]`; one float32 `[B, padded K_l]` a level."""
        return self.table(self.embed(image, train=train))


def partition_rules(config: NearestConfig) -> PartitionRules:
    """How the parameters lie on the mesh, part by part."""
    return (
        *under("table", geocell_table.partition_rules("class")),
        *under("visual", config.visual.partition_rules),
        ("^head/kernel$", PartitionSpec(STORAGE_AXIS)),
        replicated("^head/bias$"),
    )


def neighbour_posterior(config: NearestConfig, embedding: jax.Array, index: Index) -> Posterior:
    """The kernel density at the places of each photo's neighbours.

    Args:
        config: k, weights and kernel.
        embedding: unit vectors float32 `[B, E]`.
        index: `embedding [N, E]`, `latlng [N, 2]` and `valid [N]` of the training photos.

    Returns:
        A support of min(k, N) places for each photo, the most similar neighbour first.
    """
    similarity, latlng = nearest_rows(
        embedding, index["embedding"], index["latlng"], index["valid"], config.neighbours
    )
    log_weights = neighbour_log_weights(similarity, config.distance_power)
    log_density = kernel_log_density(
        unit_vectors(latlng), log_weights, math.radians(config.spread_degrees)
    )
    return Posterior(latlng=latlng, log_prob=jax.nn.log_softmax(log_density, axis=-1))


def build(config: NearestConfig, hierarchy: Hierarchy, survey: Survey) -> System:
    """Builds the system over a hierarchy of geocells, which only training knows.

    Args:
        config: the choices above.
        hierarchy: partitions coarse to fine; the network is trained on all of them.
        survey: nothing is taken from it.

    Returns:
        The pure functions of the contract; targets are `cells int32 [M, L]`, -1 where dropped.
    """
    del survey
    cells = tuple(len(partition.ids) for partition in hierarchy.partitions)
    model = Nearest(config, cells)

    def init(key: jax.Array, batch: Batch) -> Params:
        return dict(model.init(key, batch["image"], train=False)["params"])

    def loss(
        params: Params, memory: Memory, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, Metrics]:
        del memory
        rngs = None if key is None else {"dropout": key}
        scores = model.apply({"params": params}, batch["image"], train=key is not None, rngs=rngs)
        return hierarchical_loss(scores, batch["cells"], "level")  # pyright: ignore[reportArgumentType]

    def index_rows(params: Params, batch: Batch) -> dict[str, jax.Array]:
        embedding: jax.Array = model.apply(
            {"params": params}, batch["image"], train=False, method="embed"
        )  # pyright: ignore[reportAssignmentType]
        return {"embedding": unit_norm(embedding)}

    def keep_index(params: Params, index: Index) -> Prepared:
        del params
        return dict(index)

    def posterior(params: Params, prepared: Prepared, batch: Batch) -> Posterior:
        return neighbour_posterior(config, index_rows(params, batch)["embedding"], prepared)

    frozen, trained = config.visual.flops
    trained += 2 * config.embedding_width * config.visual.width
    classifier = 2 * config.embedding_width * sum(cells)
    return System(
        name="nearest",
        init=init,
        loss=loss,
        posterior=posterior,
        targets=lambda latlng: {"cells": hierarchy.assign(latlng)},
        partition_rules=partition_rules(config),
        frozen_rules=tuple(f"^visual/{rule}" for rule in config.visual.frozen_rules),
        towers={"visual": config.visual},
        # The search costs 2 E for each training photo more, whose number the system does not know.
        flops=FlopsPerPhoto(forward=frozen + trained, training=frozen + 3 * (trained + classifier)),
        description=(
            ("neighbours", f"{config.neighbours} of the training photos"),
            *describe_levels(cells, config.table_row_multiple),
        ),
        index_rows=index_rows,
        prepare=keep_index,
        embed=lambda params, batch: index_rows(params, batch)["embedding"],
    )
