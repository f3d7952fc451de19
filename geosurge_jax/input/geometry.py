"""Which part of a photo is looked at: boxes in relative coordinates.

A box says nothing of pixels, so a segmentation map of another resolution takes the same one.
"""

from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """Edges as shares of width and height: (0, 0, 1, 1) is the whole photo."""

    left: float
    top: float
    right: float
    bottom: float


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
    draws = generator.random((10, 4))
    for area, shape, x, y in draws:
        area = scale[0] + area * (scale[1] - scale[0])
        shape = np.exp(np.log(ratio[0]) + shape * (np.log(ratio[1]) - np.log(ratio[0])))
        across = np.sqrt(area * shape * height / width)
        down = np.sqrt(area / shape * width / height)
        if across <= 1 and down <= 1:
            left, top = x * (1 - across), y * (1 - down)
            return Box(float(left), float(top), float(left + across), float(top + down))
    shape = min(max(width / height, ratio[0]), ratio[1])
    return _centred(min(1.0, shape * height / width), min(1.0, width / height / shape))


def centre_crop(height: int, width: int, resize_ratio: float) -> Box:
    """The centre square that remains when the short side is resized to `resize_ratio` crops.

    Args:
        height: Of the photo in pixels; only the ratio to `width` matters.
        width: Of the photo in pixels.
        resize_ratio: Short side / side of the crop after resizing; 256 / 224 is the usual one.
    """
    return _centred(*_square(height, width, resize_ratio))


def evaluation_crops(
    height: int, width: int, crops: int, resize_ratio: float
) -> list[tuple[Box, bool]]:
    """The boxes of a test-time crop protocol, each with whether it is mirrored.

    Args:
        height: Of the photo in pixels; only the ratio to `width` matters.
        width: Of the photo in pixels.
        crops: 1: the centre. 5: the four corners, then the centre. 10: the five, then the five
            mirrored (Krizhevsky et al. 2012, section 4.1).
        resize_ratio: Short side / side of a crop after resizing.

    Raises:
        ValueError: `crops` is not 1, 5 or 10, or `resize_ratio` is below 1.
    """
    if crops not in (1, 5, 10):
        raise ValueError(f"{crops} crops, expected 1, 5 or 10 (config.evaluation.crops)")
    if not resize_ratio >= 1:
        raise ValueError(
            f"resize ratio {resize_ratio}, expected 1 or more (config.evaluation.resize_ratio)"
        )
    centre = centre_crop(height, width, resize_ratio)
    if crops == 1:
        return [(centre, False)]
    across, down = _square(height, width, resize_ratio)
    corners = [
        Box(left, top, left + across, top + down)
        for top in (0.0, 1 - down)
        for left in (0.0, 1 - across)
    ]
    five = [*corners, centre]
    plain = [(box, False) for box in five]
    return plain if crops == 5 else plain + [(box, True) for box in five]


def _square(height: int, width: int, resize_ratio: float) -> tuple[float, float]:
    side = min(height, width) / resize_ratio
    return side / width, side / height


def _centred(across: float, down: float) -> Box:
    return Box((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2)
