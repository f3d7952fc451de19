"""The image towers that a config can name."""

import jax.numpy as jnp

from geosurge_jax.models.efficientnet import EfficientNet, EfficientNetConfig
from geosurge_jax.models.resnet import ResNet, ResNetConfig
from geosurge_jax.models.swin import Swin, SwinConfig
from geosurge_jax.models.tower import ImageTower, TowerConfig
from geosurge_jax.models.vit import ViT
from geosurge_jax.models.vit_config import ViTConfig

# What a config's `kind` may lead to; the config boundary picks the class whose `KINDS` holds it.
AnyTower = ViTConfig | SwinConfig | ResNetConfig | EfficientNetConfig

TOWERS: dict[type[TowerConfig], type[ImageTower]] = {
    ViTConfig: ViT,
    SwinConfig: Swin,
    ResNetConfig: ResNet,
    EfficientNetConfig: EfficientNet,
}


def make_tower(config: TowerConfig, dtype: jnp.dtype, name: str | None = None) -> ImageTower:
    """The module of a tower."""
    return TOWERS[type(config)](config, dtype, name=name)  # pyright: ignore[reportCallIssue]
