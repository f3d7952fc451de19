"""Noise in brightness, contrast, saturation, hue and gray, as one colour matrix a photo."""

import numpy as np
from PIL import Image

_LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luma, ITU-R BT.601."""

_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def colour_transform(
    generator: np.random.Generator,
    mean: np.ndarray,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    grayscale: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one photo's colour noise: brightness, contrast, saturation, hue, gray, in this order.

    Each step is linear in RGB, so all of them are one matrix. Hue turns the IQ plane of YIQ, which
    keeps luma (torchvision turns the hue of HSV, which does not). Five numbers are drawn whatever
    the strengths are.

    Args:
        generator: Of this record.
        mean: Mean colour of the photo, [3], 0 to 255; contrast is taken about its luma.
        brightness: The factor is drawn from 1 - brightness to 1 + brightness, never below 0.
        contrast: Likewise.
        saturation: Likewise.
        hue: The turn is drawn from -hue to hue, in turns: 0.5 is half the colour wheel.
        grayscale: Probability that all colour goes.

    Returns:
        Matrix [3, 3] and offset [3], so that `new = matrix @ old + offset`.
    """
    draws = generator.random(5)
    strengths = np.array([brightness, contrast, saturation])
    lowest = np.maximum(0.0, 1 - strengths)
    bright, contrasted, saturated = lowest + draws[:3] * (1 + strengths - lowest)
    turn = 2 * np.pi * hue * (2 * draws[3] - 1)
    gray = np.tile(_LUMA, (3, 1))
    keep = 0.0 if draws[4] < grayscale else 1.0
    colour = keep * saturated * np.eye(3) + (1 - keep * saturated) * gray
    rotation = np.array(
        [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    )
    matrix = _FROM_YIQ @ rotation @ _TO_YIQ @ colour
    offset = np.full(3, (1 - contrasted) * bright * (_LUMA @ mean))
    return matrix * bright * contrasted, offset


def mean_colour(pixels: np.ndarray) -> np.ndarray:
    """Mean red, green and blue of a photo uint8 [H, W, 3], rounded, float64 [3]."""
    return np.asarray(Image.fromarray(pixels).resize((1, 1), Image.Resampling.BOX))[0, 0] * 1.0


def apply_colour(pixels: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Apply a colour matrix to a photo, rounded and clipped.

    Pillow does it on one core without the interpreter lock; a NumPy product of so narrow a matrix
    sets all of BLAS' threads to work, in every thread that prepares a batch.

    Args:
        pixels: uint8 [H, W, 3].
        matrix: [3, 3].
        offset: [3].

    Returns:
        uint8 [H, W, 3].
    """
    rows = np.column_stack([matrix, offset]).ravel().tolist()
    return np.asarray(Image.fromarray(pixels).convert("RGB", tuple(rows)))
