"""Mixture of von Mises-Fisher distributions (Izbicki, Papalexakis and Tsotras, ECML-PKDD 2019).

The photo decides the weights of a mixture on the sphere, by a softmax layer over its components; the
components' mean directions and concentrations are parameters that all photos share. The loss is minus the
logarithm of the mixture's density at the true place, which knows that a near miss is better than a far one.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.geo import EARTH_RADIUS_KM, Hierarchy, cell_levels, unit_vectors
from geosurge_jax.models import geocell_table, von_mises_fisher
from geosurge_jax.models.geocell_table import GeocellTable, padded_rows
from geosurge_jax.models.sharding import PartitionRules, constrain_batch, under
from geosurge_jax.models.towers import AnyTower, make_tower
from geosurge_jax.models.von_mises_fisher import (
    VonMisesFisherComponents,
    concentration_of_spread,
    mixture_log_density,
    mixture_log_density_on,
)
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
from geosurge_jax.systems.posterior import Posterior

SUPPORT_WEIGHTS = ("density", "mass")


@dataclass(frozen=True)
class MvmfConfig:
    """Choices of the system.

    Attributes:
        visual: the image tower.
        initial_spread_km: standard deviation with which every component starts, along the surface (ours; the
            components start at the mean places of the finest geocells, which is ours too).
        support_weights: what the posterior gives to the mean place of a finest geocell, a point of its
            support: "density" the mixture's density there, so that the densest point comes first; "mass" that
            times the cell's area, the probability of the cell as far as the density is even in it (both
            ours: the mixture itself is continuous). The area is the mean of S2 cells of its level, which
            is right within a factor of 1.6.
        table_row_multiple: rows of the table and of the components are padded to a multiple of this with
            masked ones; `fsdp * model` of the mesh has to divide it (ours).
        compute_dtype: "float32" or "bfloat16", of the tower and the weights; the sphere is float32.
    """

    visual: AnyTower
    initial_spread_km: float
    support_weights: str
    table_row_multiple: int
    compute_dtype: str

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        check_choices(
            ("support_weights", self.support_weights, SUPPORT_WEIGHTS),
            ("compute_dtype", self.compute_dtype, COMPUTE_DTYPES),
        )
        if self.initial_spread_km <= 0:
            raise ValueError(
                f"config.system.initial_spread_km={self.initial_spread_km}: expected above 0"
            )


class Mvmf(nn.Module):
    """Photo to the mixture's weights, and the components."""

    config: MvmfConfig
    directions: np.ndarray

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The mixture of `image uint8 [B, H, W, 3]`.

        Returns:
            Scores float32 `[B, padded C]`, whose softmax are the weights; the components' mean directions
            `[padded C, 3]` and log-concentrations `[padded C]`.
        """
        config, dtype = self.config, jnp.dtype(self.config.compute_dtype)
        features = make_tower(config.visual, dtype, "visual")(image, train=train)
        (scores,) = GeocellTable(
            cells=(len(self.directions),),
            width=config.visual.width,
            row_multiple=config.table_row_multiple,
            targets="class",
            initial_temperature=1.0,
            dtype=dtype,
            name="table",
        )(constrain_batch(features.pooled))
        direction, log_concentration = VonMisesFisherComponents(
            components=len(self.directions),
            row_multiple=config.table_row_multiple,
            directions=self.directions,
            concentration=concentration_of_spread(config.initial_spread_km / EARTH_RADIUS_KM),
            name="components",
        )()
        return scores, direction, log_concentration


def partition_rules(config: MvmfConfig) -> PartitionRules:
    """How the parameters lie on the mesh, part by part."""
    return (
        *under("table", geocell_table.partition_rules("class")),
        *under("components", von_mises_fisher.PARTITION_RULES),
        *under("visual", config.visual.partition_rules),
    )


def log_support_weights(hierarchy: Hierarchy, support_weights: str) -> np.ndarray:
    """What is added to the log-density at each point of the support, float32 `[K]`."""
    ids = hierarchy.partitions[-1].ids
    if support_weights == "density":
        return np.zeros(len(ids), np.float32)
    # Six faces, four children each: a cell's mean area is this of the sphere's.
    return (-np.log(6.0) - np.log(4.0) * cell_levels(ids)).astype(np.float32)


def build(config: MvmfConfig, hierarchy: Hierarchy, survey: Survey) -> System:
    """Builds the system with one component for each finest geocell.

    Args:
        config: the choices above.
        hierarchy: the finest partition's places are where the components start, and the support.
        survey: nothing is taken from it.

    Returns:
        The pure functions of the contract; targets are `direction float32 [M, 3]`, unit vectors.
    """
    del survey
    finest = hierarchy.partitions[-1]
    components = len(finest)
    directions = unit_vectors(finest.latlng).astype(np.float32)
    model = Mvmf(config, directions)
    latlng = finest.latlng.astype(np.float32)
    log_weights = log_support_weights(hierarchy, config.support_weights)

    def init(key: jax.Array, batch: Batch) -> Params:
        return dict(model.init(key, batch["image"], train=False)["params"])

    def mixture(
        params: Params, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        rngs = None if key is None else {"dropout": key}
        return model.apply({"params": params}, batch["image"], train=key is not None, rngs=rngs)  # pyright: ignore[reportReturnType]

    def loss(
        params: Params, memory: Memory, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, Metrics]:
        del memory
        scores, direction, log_concentration = mixture(params, batch, key)
        log_density = mixture_log_density(scores, batch["direction"], direction, log_concentration)
        return -log_density, {}

    def posterior(params: Params, prepared: Prepared, batch: Batch) -> Posterior:
        del prepared
        scores, direction, log_concentration = mixture(params, batch, None)
        log_density = mixture_log_density_on(
            jnp.asarray(directions), scores, direction, log_concentration, components
        )
        log_prob = jax.nn.log_softmax(log_density + jnp.asarray(log_weights)[None], axis=-1)
        return Posterior(latlng=jnp.asarray(latlng), log_prob=log_prob)

    frozen, trained = config.visual.flops
    trained += 2 * config.visual.width * components
    # The densities at the support, as one product of the photo's weights; training has no part in it.
    on_support = 2 * components * components
    return System(
        name="mvmf",
        init=init,
        loss=loss,
        posterior=posterior,
        targets=lambda latlng: {"direction": unit_vectors(latlng).astype(np.float32)},
        partition_rules=partition_rules(config),
        frozen_rules=tuple(f"^visual/{rule}" for rule in config.visual.frozen_rules),
        towers={"visual": config.visual},
        flops=FlopsPerPhoto(forward=frozen + trained + on_support, training=frozen + 3 * trained),
        description=(
            (
                "components",
                f"{components} in {padded_rows(components, config.table_row_multiple)} rows, "
                f"{config.initial_spread_km:g} km wide at first",
            ),
        ),
    )
