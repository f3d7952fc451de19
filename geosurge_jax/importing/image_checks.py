"""What every importer asks of an image: it decodes, and it is large enough to show a place."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geosurge_jax.importing.perceptual_hash import perceptual_hash
from geosurge_jax.importing.row_values import RejectedRow
from geosurge_jax.input.images import ImageDecodeError, decode_image

SMALLEST_SIDE = 32
"""Pixels; a smaller image shows no place."""

LARGEST_ASPECT = 20
"""Long side over short side; a more extreme image is a banner or a mistake."""

PLACEHOLDER_COPIES = 10
"""Images under different names with the same bytes are no photos but "no longer available"."""


@dataclass(frozen=True)
class CheckedImage:
    """An image that passed.

    Attributes:
        pixels: uint8 `[H, W, 3]`, upright.
        content_hash: of the encoded file, 64 bits.
        perceptual_hash: see `perceptual_hash`; None for a flat image.
    """

    pixels: np.ndarray
    content_hash: int
    perceptual_hash: int | None


def check_image(content: bytes) -> CheckedImage:
    """Decodes and checks an image.

    Raises:
        RejectedRow: it cannot be decoded whole, or is too small or too long to be a photo.
    """
    try:
        pixels = decode_image(content)
    except ImageDecodeError as error:
        raise RejectedRow(f"unreadable image: {error}") from None
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise RejectedRow(f"too small: {width} x {height} pixels, expected {SMALLEST_SIDE} or more")
    if max(height, width) > LARGEST_ASPECT * min(height, width):
        raise RejectedRow(
            f"extreme shape: {width} x {height} pixels, expected at most {LARGEST_ASPECT} to 1"
        )
    return CheckedImage(pixels, content_hash(content), perceptual_hash(pixels))


def content_hash(content: bytes) -> int:
    """Returns 64 bits that stand for an encoded file."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


def placeholders(content: np.ndarray | Sequence[int]) -> np.ndarray:
    """Returns how many copies each image has, where they are so many that none is a photo; else 0.

    Args:
        content: `content_hash` of each image, uint64 `[M]`.

    Returns:
        int64 `[M]`.
    """
    _, which, copies = np.unique(
        np.asarray(content, np.uint64), return_inverse=True, return_counts=True
    )
    return np.where(copies[which] >= PLACEHOLDER_COPIES, copies[which], 0)
