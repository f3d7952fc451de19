"""The photos of a folder as they are stored: upright, without metadata, read when written."""

from collections.abc import Iterator, Sequence

import numpy as np
import simplejpeg
from PIL import Image

from geosurge_jax.dataset.record import Record
from geosurge_jax.importing.folder_rows import Photo
from geosurge_jax.importing.row_values import Rejection
from geosurge_jax.importing.strip import lossless_copy, stored_segmentation
from geosurge_jax.input.exif import orientation
from geosurge_jax.input.images import decode_image
from geosurge_jax.threads import in_threads

QUALITY = 95
"""Default JPEG quality of re-encoded photos."""


class FolderRecords:
    """The records of one split; each iteration reads the files again.

    Attributes:
        failed: photos that could not be read again by the last iteration.
    """

    def __init__(self, photos: Sequence[Photo], short_side: int | None, threads: int):
        """Takes photos that were checked.

        Args:
            photos: of the split.
            short_side: of a stored photo at most, in pixels; None = as it is.
            threads: files that are read at a time.
        """
        self.failed: list[Rejection] = []
        self._photos = photos
        self._short_side = short_side
        self._threads = threads

    def __len__(self) -> int:
        return len(self._photos)

    def __iter__(self) -> Iterator[Record]:
        self.failed.clear()
        for result in in_threads(self._guarded, self._photos, self._threads):
            if isinstance(result, Record):
                yield result
            else:
                self.failed.append(result)

    def _guarded(self, photo: Photo) -> Record | Rejection:
        """The record of a photo, or why the file that was checked gives none any more."""
        try:
            return self._record(photo)
        except Exception as error:  # decoders and file systems have many ways to fail
            said = " ".join(str(error).split()) or type(error).__name__
            return Rejection(photo.row, photo.id, photo.file, f"unreadable file: {said}")

    def _record(self, photo: Photo) -> Record:
        segmentation = None
        if photo.segmentation is not None:
            segmentation = stored_segmentation(photo.segmentation.read_bytes())
        return Record(
            id=photo.id,
            image=stored_photo(photo.path.read_bytes(), self._short_side),
            latlng=photo.latlng,
            segmentation=segmentation,
            scene=photo.scene,
            author=photo.author,
            licence=photo.licence,
        )


def stored_photo(
    content: bytes,
    short_side: int | None,
    quality: int = QUALITY,
    *,
    pixels: np.ndarray | None = None,
) -> bytes:
    """Return a photo as it is stored: JPEG, PNG or WebP, upright, without metadata.

    The photo stays lossless where it is upright and small enough, and where `lossless_copy` proves that
    no metadata is left. Otherwise it is re-encoded as JPEG.

    Args:
        content: A file that decodes.
        short_side: Largest short side of the stored photo in pixels; None = any.
        quality: JPEG quality where it is re-encoded.
        pixels: uint8 [H, W, 3], what `decode_image` returns for the file, where that is known already.

    Raises:
        ImageDecodeError: It does not decode.
    """
    pixels = decode_image(content) if pixels is None else pixels
    height, width = pixels.shape[:2]
    if short_side is not None and min(height, width) > short_side:
        scale = short_side / min(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    elif orientation(content) == 1:
        lossless = lossless_copy(content, pixels)
        if lossless is not None:
            return lossless
    return simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="444")
