"""Class maps as colour pictures, for a tower that was made for photos."""

import jax
import jax.numpy as jnp
import numpy as np

# The real root of x**4 = x + 1: its powers spread points evenly in three dimensions (Roberts 2018).
_SPREAD = 1.2207440846057596
_DARKEST = 32


def class_colours(classes: int) -> np.ndarray:
    """A colour for each value of a class map, as far from one another as a sequence without end allows.

    The colours that published segmenters paint with are arbitrary, and a tower sees nothing in them but that
    classes differ. Ours need no table: class k has the k-th point of the additive sequence in the powers of
    the generalised golden ratio, scaled into the colours that are not nearly black.

    Args:
        classes: number of classes.

    Returns:
        uint8 `[256, 3]`; values that are no class are black.
    """
    steps = _SPREAD ** -np.arange(1.0, 4.0)
    points = (0.5 + np.arange(1, classes + 1)[:, None] * steps[None]) % 1.0
    colours = np.zeros((256, 3), np.uint8)
    colours[:classes] = np.floor(_DARKEST + points * (256 - _DARKEST))
    return colours


def colour_picture(class_map: jax.Array, classes: int) -> jax.Array:
    """Paints `class_map uint8 [B, H, W]` with `class_colours`: uint8 `[B, H, W, 3]`."""
    return jnp.take(jnp.asarray(class_colours(classes)), class_map.astype(jnp.int32), axis=0)
