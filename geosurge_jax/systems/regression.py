"""Regression on the unit sphere: a photo to one place, the baseline that distributions are compared with.

OSV-5M (Astruc et al., CVPR 2024) reports such a baseline; that the place is a vector of three numbers
brought to length 1, which has neither poles nor a date line, and the losses are ours.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.geo import Hierarchy, latlng_from_unit_vectors, unit_vectors
from geosurge_jax.models.geocell_table import unit_norm
from geosurge_jax.models.sharding import PartitionRules, constrain_batch, replicated, under
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
from geosurge_jax.systems.posterior import Posterior

LOSSES = ("squared_chord", "chord")


@dataclass(frozen=True)
class RegressionConfig:
    """Choices of the system.

    Attributes:
        visual: the image tower.
        loss: "squared_chord", |x - y|^2 = 2 (1 - cos), which the mean of the places minimises, or "chord",
            |x - y|, which their median does and outliers move less.
        compute_dtype: "float32" or "bfloat16"; parameters, and the sphere, are float32.
    """

    visual: AnyTower
    loss: str
    compute_dtype: str

    def __post_init__(self) -> None:
        """Raises ValueError where a name is unknown, naming the config key."""
        check_choices(
            ("loss", self.loss, LOSSES),
            ("compute_dtype", self.compute_dtype, COMPUTE_DTYPES),
        )


class Regression(nn.Module):
    """Photo to a place."""

    config: RegressionConfig

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        """The place of `image uint8 [B, H, W, 3]` as a unit vector, float32 `[B, 3]`."""
        config, dtype = self.config, jnp.dtype(self.config.compute_dtype)
        features = make_tower(config.visual, dtype, "visual")(image, train=train)
        # Three numbers place the photo: they are worth float32.
        return constrain_batch(
            unit_norm(nn.Dense(3, name="place")(constrain_batch(features.pooled)))
        )


def chord_loss(found: jax.Array, truth: jax.Array, loss: str) -> jax.Array:
    """Distance `[B]` through the sphere between unit vectors `[B, 3]`, squared or not."""
    squared = jnp.sum((found - truth) ** 2, axis=-1)
    # The square root's slope at 0 is not finite; 1e-12 is six metres.
    return squared if loss == "squared_chord" else jnp.sqrt(squared + 1e-12)


def partition_rules(config: RegressionConfig) -> PartitionRules:
    """How the parameters lie on the mesh, part by part."""
    return (
        *under("visual", config.visual.partition_rules),
        replicated("^place/(kernel|bias)$"),
    )


def build(config: RegressionConfig, hierarchy: Hierarchy, survey: Survey) -> System:
    """Builds the system.

    Args:
        config: the choices above.
        hierarchy: nothing is taken from it.
        survey: nothing is taken from it.

    Returns:
        The pure functions of the contract; targets are `direction float32 [M, 3]`, unit vectors;
        the posterior is one place of probability 1.
    """
    del hierarchy, survey
    model = Regression(config)

    def init(key: jax.Array, batch: Batch) -> Params:
        return dict(model.init(key, batch["image"], train=False)["params"])

    def place(params: Params, batch: Batch, key: jax.Array | None) -> jax.Array:
        rngs = None if key is None else {"dropout": key}
        return model.apply({"params": params}, batch["image"], train=key is not None, rngs=rngs)  # pyright: ignore[reportReturnType]

    def loss(
        params: Params, memory: Memory, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, Metrics]:
        del memory
        return chord_loss(place(params, batch, key), batch["direction"], config.loss), {}

    def posterior(params: Params, prepared: Prepared, batch: Batch) -> Posterior:
        del prepared
        latlng = latlng_from_unit_vectors(place(params, batch, None))[:, None]
        return Posterior(latlng=latlng, log_prob=jnp.zeros((latlng.shape[0], 1), jnp.float32))

    frozen, trained = config.visual.flops
    trained += 2 * config.visual.width * 3
    return System(
        name="regression",
        init=init,
        loss=loss,
        posterior=posterior,
        targets=lambda latlng: {"direction": unit_vectors(latlng).astype(np.float32)},
        partition_rules=partition_rules(config),
        frozen_rules=tuple(f"^visual/{rule}" for rule in config.visual.frozen_rules),
        towers={"visual": config.visual},
        flops=FlopsPerPhoto(forward=frozen + trained, training=frozen + 3 * trained),
        description=(("place", f"one point, trained on the {config.loss.replace('_', ' ')}"),),
    )
