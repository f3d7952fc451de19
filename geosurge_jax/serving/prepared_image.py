"""One image on its way into a batch: decoded, resized, cut into views, with its segmentation map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from geosurge_jax.dataset.record import UNKNOWN_CLASS
from geosurge_jax.input.views import cut_views
from geosurge_jax.models.preprocessing import Preprocessing
from geosurge_jax.serving import images as image_sources
from geosurge_jax.serving.images import ImageSource
from geosurge_jax.serving.segmentation import ImageSegmenter

THUMBNAIL_SIDE = 256


@dataclass(frozen=True)
class PreparedImage:
    """An image as it enters a batch.

    Attributes:
        name: readable name.
        views: uint8 `[V, S, S, 3]`.
        size: height and width of the decoded image in pixels.
        segmentation_map: ADE20K's classes uint8 `[h, w]`; None where none was given.
        for_segmenter: the image as the segmenter takes it, and the size of its map; None where it is not
            needed.
        warnings: what a person should know of its prediction.
        thumbnail: uint8 `[h, w, 3]`, at most 256 pixels a side; None unless asked for.
    """

    name: str
    views: np.ndarray
    size: tuple[int, int]
    segmentation_map: np.ndarray | None
    for_segmenter: tuple[np.ndarray, tuple[int, int]] | None
    warnings: tuple[str, ...]
    thumbnail: np.ndarray | None


@dataclass(frozen=True)
class ImagePreparation:
    """How images become rows of a batch.

    Attributes:
        preprocessing: what the image encoder expects.
        views: V, test-time views of each image.
        segmenter: makes segmentation maps of images that come without one; None for none.
        reads_segmentation: whether the system reads segmentation maps.
        problem: why there is no segmenter.
    """

    preprocessing: Preprocessing
    views: int
    segmenter: ImageSegmenter | None
    reads_segmentation: bool
    problem: str

    def prepare(
        self, source: ImageSource, number: int, given_map: Any, *, thumbnail: bool = False
    ) -> PreparedImage:
        """Decodes one image and cuts its views; called in threads.

        Args:
            source: the image.
            number: its position among several, from 1.
            given_map: its segmentation map, a folder of maps, or None.
            thumbnail: whether a small copy is kept for notebooks.

        Raises:
            ImageError: the image or its map cannot be read; one line.
        """
        name = image_sources.readable_name(source, number)
        pixels = image_sources.decode(source, name)
        found = image_sources.map_of(source, given_map) if self.reads_segmentation else None
        segmentation_map = None if found is None else image_sources.decode_segmentation_map(found)
        needed = self.reads_segmentation and segmentation_map is None
        warnings = ()
        if needed and self.segmenter is None:
            reason = f" ({self.problem})" if self.problem else ""
            warnings = (
                f"segmentation missing: every pixel counts as unknown, which lowers the accuracy{reason}",
            )
        return PreparedImage(
            name=name,
            views=cut_views(pixels, pixels.shape[:2], self.views, self.preprocessing.framing),
            size=pixels.shape[:2],
            segmentation_map=segmentation_map,
            for_segmenter=self.segmenter.prepare(pixels) if needed and self.segmenter else None,
            warnings=warnings,
            thumbnail=_thumbnail(pixels) if thumbnail else None,
        )

    def host_batch(self, images: Sequence[PreparedImage]) -> dict[str, np.ndarray]:
        """Stacks images into `image` uint8 `[B, V, S, S, 3]` and `segmentation` uint8 `[B, V, S, S]`."""
        batch = np.stack([one.views for one in images])
        segmentation = np.full(batch.shape[:-1], UNKNOWN_CLASS, np.uint8)
        if self.reads_segmentation:
            for row, found in enumerate(self._maps(images)):
                if found is not None:
                    one = images[row]
                    segmentation[row] = cut_views(
                        found, one.size, self.views, self.preprocessing.framing
                    )
        return {"image": batch, "segmentation": segmentation}

    def _maps(self, images: Sequence[PreparedImage]) -> list[np.ndarray | None]:
        """The map of each image: the one that was given, or the segmenter's."""
        waiting = [one.for_segmenter for one in images if one.for_segmenter is not None]
        made = iter(self.segmenter.maps(waiting) if self.segmenter and waiting else ())
        return [one.segmentation_map if one.for_segmenter is None else next(made) for one in images]


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return np.asarray(image)
