"""What a tower expects of photos: size, geometry, interpolation, and statistics of pixels.

It belongs to the tower's config and nowhere else, so training, evaluation, prediction and export cannot
differ in it; checkpoints carry it.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from geosurge_jax.input.geometry import Framing

RESIZES = ("short", "stretch")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


@dataclass(frozen=True)
class Preprocessing:
    """From a photo to the square of numbers that a tower sees.

    Attributes:
        image_size: side of the square in pixels.
        resize: "short" brings the short side to `image_size * resize_ratio` pixels and keeps the aspect,
            "stretch" brings both sides there; then the centre square of `image_size` is cut out.
        resize_ratio: size after resizing over size of the square; 1 or more (CLIP 1, DINOv2 256 / 224).
        interpolation: a name in `INTERPOLATIONS`.
        mean: of each channel, of pixels in [0, 1].
        deviation: standard deviation of each channel.
    """

    image_size: int
    resize: str
    resize_ratio: float
    interpolation: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range, naming the config key."""
        for name, value, allowed in (
            ("resize", self.resize, RESIZES),
            ("interpolation", self.interpolation, INTERPOLATIONS),
        ):
            if value not in allowed:
                raise ValueError(
                    f"config.system.visual.preprocessing.{name}={value!r}: expected one of {allowed}"
                )
        for name, value, fine in (
            ("image_size", self.image_size, self.image_size >= 1),
            ("resize_ratio", self.resize_ratio, self.resize_ratio >= 1),
            ("deviation", self.deviation, min(self.deviation) > 0),
        ):
            if not fine:
                least = "values above 0" if name == "deviation" else "1 or more"
                raise ValueError(
                    f"config.system.visual.preprocessing.{name}={value}: expected {least}"
                )

    @property
    def framing(self) -> Framing:
        """The part of it that happens on the host: resizing, and the size of the square."""
        return Framing(
            size=self.image_size,
            resize=self.resize,
            resize_ratio=self.resize_ratio,
            interpolation=self.interpolation,
        )

    def normalize(self, image: jax.Array, dtype: jnp.dtype) -> jax.Array:
        """Maps `image uint8 [B, H, W, 3]` to what the tower was trained on, on the device."""
        mean, deviation = (jnp.asarray(v, jnp.float32) for v in (self.mean, self.deviation))
        scaled = image.astype(jnp.float32) / 255.0
        return ((scaled - mean[None, None, None]) / deviation[None, None, None]).astype(dtype)
