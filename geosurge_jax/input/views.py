"""The test-time views of one image and of its segmentation map."""

import numpy as np

from geosurge_jax.input.geometry import WHOLE, Framing, evaluation_crops
from geosurge_jax.input.images import resize_crop


def cut_views(
    array: np.ndarray, image_size: tuple[int, int], views: int, framing: Framing
) -> np.ndarray:
    """Resizes an image or its segmentation map and cuts the views of a test-time protocol out of it.

    Args:
        array: uint8 [H, W, 3] (image) or [h, w] (segmentation map of any resolution).
        image_size: Height and width of the image, whose geometry its map takes.
        views: 1, 5 or 10.
        framing: How the image is resized, and the size of a view.

    Returns:
        uint8 [V, size, size, 3] or [V, size, size].
    """
    resized = framing.resized(*image_size)
    whole = resize_crop(array, WHOLE, resized, framing.interpolation)

    def cut(top: int, left: int, mirrored: bool) -> np.ndarray:
        square = whole[top : top + framing.size, left : left + framing.size]
        return square[:, ::-1] if mirrored else square

    return np.stack([cut(*square) for square in evaluation_crops(*resized, views, framing.size)])
