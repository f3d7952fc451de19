"""What an image tower is to the systems: photos to one vector and a grid of tokens."""

from typing import Protocol

import flax.linen as nn
import jax
from flax import struct

from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.models.sharding import PartitionRules


@struct.dataclass
class Features:
    """What a tower makes of a batch of photos.

    Attributes:
        pooled: one vector for each photo `[B, D]`: the normalised class token, or what the design has in
            its place (attention pooling, mean).
        tokens: the grid, rows first, normalised `[B, P, D]`.
    """

    pooled: jax.Array
    tokens: jax.Array


class ImageTower(nn.Module):
    """What every tower is: it looks at photos, or passes on what was kept of an earlier look at them."""

    def __call__(self, photos: jax.Array | Features, *, train: bool) -> Features:
        """Encodes photos.

        Args:
            photos: uint8 `[B, H, W, 3]`; or the features themselves, made by this very tower when it was
                frozen, which need no parameter of it.
            train: whether dropout is on.
        """
        return photos if isinstance(photos, Features) else self.look(photos, train=train)

    def look(self, image: jax.Array, *, train: bool) -> Features:
        """Encodes `image uint8 [B, H, W, 3]`."""
        raise NotImplementedError


class TowerConfig(Protocol):
    """Choices of one tower: a frozen dataclass."""

    @property
    def kind(self) -> str:
        """Its design, one of the class's `KINDS`."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """What it expects of photos."""
        ...

    @property
    def width(self) -> int:
        """D, width of a token."""
        ...

    @property
    def grid(self) -> int:
        """Tokens along one side of the photo; P is its square."""
        ...

    @property
    def frozen_rules(self) -> tuple[str, ...]:
        """Path patterns, relative to the tower, of the parameters that are not trained."""
        ...

    @property
    def partition_rules(self) -> PartitionRules:
        """How the parameters lie on the mesh; paths relative to the tower."""
        ...

    @property
    def flops(self) -> tuple[int, int]:
        """Forward FLOPs for one photo: (frozen part, trained part)."""
        ...
