"""Which part of a photo is looked at: boxes in relative coordinates.

A box says nothing of pixels, so a segmentation map of another resolution takes the same one.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """Edges as shares of width and height."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Framing:
    """How photos are brought to the square that a tower sees, which is the tower's own to say.

    Attributes:
        size: Side of the square in pixels.
        resize: "short" brings the short side to `size * resize_ratio` and keeps the aspect, "stretch"
            brings both sides there; squares are cut out of the result.
        resize_ratio: 1 or more; 256 / 224 is a usual one.
        interpolation: Name of one of Pillow's filters, in lower case.
    """

    size: int
    resize: str = "short"
    resize_ratio: float = 1.0
    interpolation: str = "bicubic"

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of a photo after resizing, rounded as Hugging Face's processors do it."""
        side = round(self.size * self.resize_ratio)
        if self.resize == "stretch":
            return side, side
        long = int(side * max(height, width) / min(height, width))
        return (side, long) if height <= width else (long, side)


def random_resized_crop(
    generator: np.random.Generator,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Box:
    """A random box of a random share of the area and a random aspect ratio.

    Inception's crop (Szegedy et al. 2015, section 6) with torchvision's fallback: the largest
    centre box of a permitted ratio where ten tries did not fit.

    Args:
        generator: Draws ten tries whatever happens, so that later draws do not depend on the photo.
        height: Of the photo in pixels; only the ratio to `width` matters.
        width: Of the photo in pixels.
        scale: Smallest and largest share of the area.
        ratio: Smallest and largest width / height of the box in pixels; drawn log-uniformly.
    """
    low, high = np.log(ratio).tolist()
    for area, shape, x, y in generator.random((10, 4)).tolist():
        area = scale[0] + area * (scale[1] - scale[0])
        shape = float(np.exp(low + shape * (high - low)))
        across = math.sqrt(area * shape * height / width)
        down = math.sqrt(area / shape * width / height)
        if across <= 1 and down <= 1:
            left, top = x * (1 - across), y * (1 - down)
            return Box(left, top, left + across, top + down)
    shape = min(max(width / height, ratio[0]), ratio[1])
    return _centred(min(1.0, shape * height / width), min(1.0, width / height / shape))


def evaluation_crops(height: int, width: int, crops: int, size: int) -> list[tuple[int, int, bool]]:
    """The squares of a test-time crop protocol.

    Args:
        height: Of the resized photo in pixels.
        width: Of the resized photo in pixels.
        crops: 1: the centre. 5: the four corners, then the centre. 10: the five, then the five
            mirrored (Krizhevsky et al. 2012, section 4.1).
        size: Side of a square in pixels.

    Returns:
        Top, left, and whether it is mirrored, for each.

    Raises:
        ValueError: `crops` is not 1, 5 or 10.
    """
    if crops not in (1, 5, 10):
        raise ValueError(f"{crops} crops, expected 1, 5 or 10 (config.evaluation.crops)")
    centre = ((height - size) // 2, (width - size) // 2, False)
    if crops == 1:
        return [centre]
    corners = [(top, left, False) for top in (0, height - size) for left in (0, width - size)]
    five = [*corners, centre]
    return five if crops == 5 else five + [(top, left, True) for top, left, _ in five]


def _centred(across: float, down: float) -> Box:
    return Box((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2)
