"""A training photo's crop: no larger decoded than needed, resized by SIMD on whole numbers.

Evaluation has to see what the towers' own processors see, so it decodes whole photos and resizes with
Pillow (`images.py`). Of the time of a training photo that is the larger part. Here a JPEG is decoded at 1/2,
1/4 or 1/8 of its size where the crop stays at least as large as the square that comes of it, and
fast_image_resize takes Pillow's filters about the same box of edges between pixels. Its weights have 16 bits
where Pillow's have 32, which changes one value in four by one level of 255, and fewer than one in a thousand
by more; the sums are of whole numbers, so SSE, AVX2 and plain code give the same bits. A reduced crop
differs by a twentieth of the photo's contrast, since libjpeg cuts high frequencies off where a filter weighs
them down (`tests/input/test_resampling.py`).
"""

import math

import numpy as np

from geosurge_jax.input.geometry import Box
from geosurge_jax.input.images import Photo, resize_crop

try:
    import cykooz_resizer
except ImportError:  # it has no wheel for Linux on ARM
    cykooz_resizer = None

RESAMPLINGS = ("exact", "fast")
"""exact: evaluation's own decoder and resizer. fast: what this file is about."""

_FILTERS = {"bilinear": "bilinear", "bicubic": "catmull_rom", "lanczos": "lanczos3"}


def check_resampling(resampling: str) -> None:
    """Refuse a resampling that there is not, or not here.

    Raises:
        ValueError: One line that names the value and what was expected.
    """
    if resampling not in RESAMPLINGS:
        raise ValueError(
            f"config.augmentation.resampling={resampling!r}: expected one of {', '.join(RESAMPLINGS)}"
        )
    if resampling == "fast" and cykooz_resizer is None:
        raise ValueError(
            "config.augmentation.resampling='fast': needs the package cykooz-resizer, which is not "
            "installed; expected 'exact' without it"
        )


def reduction_for(photo: Photo, box: Box, size: int) -> int:
    """The largest reduction at which the box still has `size` pixels each way; 1 where it never has."""
    across, down = (box.right - box.left) * photo.width, (box.bottom - box.top) * photo.height
    fitting = [by for by in photo.reductions if min(across, down) >= by * size]
    return max(fitting, default=1)


def photo_crop(
    photo: Photo, box: Box, size: int, interpolation: str, resampling: str
) -> np.ndarray:
    """Decode a photo, cut out a box and resize it to a square.

    Args:
        photo: Not decoded yet.
        box: What to keep.
        size: Side of the square in pixels.
        interpolation: Name of one of Pillow's filters, in lower case.
        resampling: One of `RESAMPLINGS`.

    Returns:
        uint8 [size, size, 3].

    Raises:
        ImageDecodeError: The photo is damaged.
    """
    if resampling == "exact" or interpolation not in _FILTERS:
        return resize_crop(photo.pixels(), box, (size, size), interpolation)
    reduction = reduction_for(photo, box, size)
    # Edges go by the exact share of the photo: its last row may be an incomplete one once it is reduced.
    height, width = photo.height / reduction, photo.width / reduction
    left, top = max(box.left, 0.0) * width, max(box.top, 0.0) * height
    across, down = min(box.right, 1.0) * width - left, min(box.bottom, 1.0) * height - top
    pixels = photo.pixels(reduction)
    return _convolved(pixels, (left, top, across, down), size, _FILTERS[interpolation])


def _convolved(
    pixels: np.ndarray, crop: tuple[float, float, float, float], size: int, name: str
) -> np.ndarray:
    """Resize left, top, width and height of a photo uint8 [H, W, 3] to uint8 [size, size, 3]."""
    assert cykooz_resizer is not None, "checked by check_resampling"
    left, top, across, down = crop
    rows, columns = _reached(top, down, size), _reached(left, across, size)
    top, left = top - rows.start, left - columns.start
    # NumPy copies rows of bytes as wholes, but rows of pixels one by one.
    flat = pixels.reshape(len(pixels), -1)[rows, 3 * columns.start : 3 * columns.stop]
    height, width = flat.shape[0], flat.shape[1] // 3
    kind = cykooz_resizer.PixelType.U8x3
    source = cykooz_resizer.ImageData(width, height, kind, flat.tobytes())
    result = cykooz_resizer.ImageData(size, size, kind)
    options = cykooz_resizer.ResizeOptions(
        resize_alg=cykooz_resizer.ResizeAlg.convolution(cykooz_resizer.FilterType[name]),
        crop_box=cykooz_resizer.CropBox(
            left, top, _within(left, across, width), _within(top, down, height)
        ),
    )
    cykooz_resizer.Resizer().resize(source, result, options)
    return np.frombuffer(result.get_buffer(), np.uint8).reshape(size, size, 3)


def _reached(start: float, length: float, size: int) -> slice:
    """The pixels that a filter reaches: beyond the edges, three pixels of the result at most."""
    reach = math.ceil(3 * max(1.0, length / size)) + 1
    return slice(max(0, math.floor(start) - reach), math.ceil(start + length) + reach)


def _within(start: float, length: float, end: int) -> float:
    """The length, without the last bit that rounding may have put beyond the end."""
    length = min(length, end - start)
    return length if start + length <= end else math.nextafter(length, 0.0)
