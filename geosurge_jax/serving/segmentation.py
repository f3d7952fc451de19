"""Segmentation maps for new images, by the model that made the maps of the training images."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geosurge_jax.experiment.trained_model import SegmentationSource, TrainedModel
from geosurge_jax.interop.hub import HUB, HubOptions, model_directory
from geosurge_jax.models.class_maps import map_size

if TYPE_CHECKING:
    from geosurge_jax.importing.segment_model import PhotoSegmenter

LOG = logging.getLogger(__name__)

# Half of the 336 pixels of the widest image encoders, as in the datasets.
SHORT_SIDE = 168


@dataclass(frozen=True)
class ImageSegmenter:
    """A segmentation model with what turns its classes into ADE20K's.

    Attributes:
        model: makes maps of its own classes.
        class_table: ADE20K's id of each of its classes, uint8 `[C]`, 255 = unknown.
        short_side: shorter side of a map in pixels, at most.
        batch_size: the most images that `model` takes at a time.
    """

    model: "PhotoSegmenter"
    class_table: np.ndarray
    short_side: int
    batch_size: int

    def prepare(self, pixels: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """Returns an image uint8 `[H, W, 3]` as the model takes it, and the size of its map."""
        height, width = pixels.shape[:2]
        return self.model.prepare(pixels), map_size(height, width, self.short_side)

    def maps(self, prepared: Sequence[tuple[np.ndarray, tuple[int, int]]]) -> list[np.ndarray]:
        """Segments prepared images; returns ADE20K's classes uint8 `[h, w]` of each."""
        found: list[np.ndarray] = []
        for first in range(0, len(prepared), self.batch_size):
            images, sizes = zip(*prepared[first : first + self.batch_size], strict=True)
            found += self.model.maps(images, sizes)
        return [self.class_table[classes] for classes in found]


def open_segmenter(source: str, batch_size: int, options: HubOptions) -> ImageSegmenter:
    """Opens a segmentation model that knows ADE20K's 150 classes.

    Args:
        source: directory of a SegFormer in Hugging Face's layout, or "hf:ORG/NAME[@REVISION]".
        batch_size: images at a time; a multiple of the devices.
        options: how files of the hub are fetched.

    Raises:
        ValueError: the model is not there, or has other classes; one line.
    """
    # The importers need libraries that predictions without a segmenter do without.
    from geosurge_jax.importing.segment_classes import class_table
    from geosurge_jax.importing.segment_model import NativeSegmenter

    directory = str(model_directory(source, "segmenter", options))
    model = NativeSegmenter(directory, batch_size, SHORT_SIDE)
    table = class_table(model.class_names, None, f"segmenter={source!r}")
    return ImageSegmenter(model, table, SHORT_SIDE, batch_size)


def recorded_segmenter(
    model: TrainedModel, batch_size: int, options: HubOptions
) -> tuple[ImageSegmenter | None, str]:
    """Opens the segmentation model that made a system's training maps, as its run recorded it.

    Nothing is downloaded for this: a model of the hub has to be in the cache.

    Returns:
        The segmenter, or None and the reason why new images get no segmentation map. Both are empty for a
        system that reads no segmentation maps.
    """
    if not model.system.reads_segmentation:
        return None, ""
    recorded = model.provenance.segmentation
    if recorded is None:
        return None, "no segmentation model is recorded with this model; give one as segmenter"
    cached = HubOptions(options.revision, options.cache_dir, local_files_only=True)
    try:
        segmenter = _open_recorded(recorded, batch_size, cached)
    except (OSError, ValueError) as error:
        where = "is not in the cache" if recorded.source.startswith(HUB) else "is not there"
        LOG.info("%s", error)
        return None, (
            f"the segmentation model {recorded.source} that made the training maps {where}; give it as "
            "segmenter"
        )
    if segmenter.model.identity != recorded.identity:
        return None, (
            f"the segmentation model {recorded.source} is another than the one that made the training maps; "
            "give one as segmenter"
        )
    return segmenter, ""


def _open_recorded(
    recorded: SegmentationSource, batch_size: int, options: HubOptions
) -> ImageSegmenter:
    directory = str(model_directory(recorded.source, "segmenter", options))
    if recorded.library == "transformers":
        # torch and transformers are an extra.
        from geosurge_jax.importing.segment_library import LibrarySegmenter

        model: PhotoSegmenter = LibrarySegmenter(directory)
    else:
        from geosurge_jax.importing.segment_model import NativeSegmenter

        model = NativeSegmenter(directory, batch_size, recorded.short_side)
    table = np.array(recorded.class_table, np.uint8)
    return ImageSegmenter(model, table, recorded.short_side, batch_size)
