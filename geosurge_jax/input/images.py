"""Image decoder of training, evaluation and prediction, and the exact resizer."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

from geosurge_jax.dataset.record import NO_MAP, UNKNOWN_CLASS
from geosurge_jax.input.decode_limits import (
    MAX_DECODED_JPEG_PIXELS,
    MAX_JPEG_PIXELS,
    MAX_PIXELS,
    MAX_PROGRESSIVE_PIXELS,
    MAX_SCANNED_PIXELS,
    MEMORY,
    ImageDecodeError,
    check_size,
)
from geosurge_jax.input.exif import is_progressive, jpeg_scans, orientation
from geosurge_jax.input.geometry import Box
from geosurge_jax.input.pillow_images import opened_image, rgb_pixels
from geosurge_jax.input.plain_png import read_plain_png

_JPEG_SCALES = (1, 2, 4, 8)
_BYTES_A_COEFFICIENT = 2


@dataclass(frozen=True)
class Photo:
    """An encoded image whose size is known; its pixels are decoded on demand.

    Attributes:
        height: Height of the upright image in pixels.
        width: Width of the upright image in pixels.
        reductions: Divisors of the size at which it can be decoded, ascending from 1. libjpeg shrinks
            blocks of 8 x 8 coefficients before they become pixels.
        decode: `reduction -> pixels`; see `pixels`.
    """

    height: int
    width: int
    reductions: tuple[int, ...]
    decode: Callable[[int], np.ndarray]

    def pixels(self, reduction: int = 1) -> np.ndarray:
        """Decode: uint8 [ceil(height / reduction), ceil(width / reduction), 3].

        A pixel of the result covers `reduction` pixels of each side, from the upper left corner; the last
        row and column may reach over the edge.

        Raises:
            ImageDecodeError: Truncated or otherwise damaged.
        """
        return self.decode(reduction)


def open_photo(content: bytes, *, strict: bool = False) -> Photo:
    """Read as much of a photo as its size needs: the header of a JPEG, all of other formats.

    simplejpeg decodes JPEG with one or three channels, Pillow everything else: PNG, WebP, CMYK,
    palettes, and JPEG that libjpeg has complaints about. Photos are turned upright by their EXIF
    orientation. 16-bit channels keep their upper 8 bits; transparency is laid on white.

    No file costs more than the limits in `decode_limits`, whatever it holds. A large JPEG is decoded at a
    reduced scale of 1/2, 1/4 or 1/8; height and width are then the reduced ones.

    Args:
        content: A JPEG, PNG, WebP, or another still picture of an accepted format.
        strict: Reject a JPEG that libjpeg warns about, for example because of bytes that no decoder
            needs, instead of decoding it with Pillow.

    Raises:
        ImageDecodeError: Not a picture, too large, or truncated where the format is decoded as a whole.
    """
    if not content:
        raise ImageDecodeError("empty file")
    shape = _jpeg_shape(content) if content.startswith(b"\xff\xd8\xff") else None
    if shape is None:
        pixels = _decode_with_pillow(content)
        height, width = pixels.shape[:2]
        return Photo(height, width, (1,), lambda by: pixels)
    code = orientation(content)
    scales = [
        by
        for by in _JPEG_SCALES
        if _scaled(shape[0], by) * _scaled(shape[1], by) <= MAX_DECODED_JPEG_PIXELS
    ]
    base = scales[0]
    height, width = (_scaled(side, base) for side in (shape if code < 5 else shape[::-1]))
    # A photo that has to be turned would have its incomplete last row first.
    reductions = tuple(by // base for by in scales) if code == 1 else (1,)
    return Photo(
        height,
        width,
        reductions,
        lambda by: _upright(_decode_jpeg(content, shape, base * by, strict), code),
    )


def decode_image(content: bytes, *, strict: bool = False) -> np.ndarray:
    """Decode a photo as a whole, uint8 [H, W, 3], upright; see `open_photo`.

    Raises:
        ImageDecodeError: Not a picture, truncated, or too large.
    """
    return open_photo(content, strict=strict).pixels()


def decode_class_map(content: bytes) -> np.ndarray:
    """Decode a segmentation map.

    Args:
        content: A PNG with one 8-bit channel (a palette's colours are ignored).

    Returns:
        uint8 [H, W], 255 = unknown.

    Raises:
        ImageDecodeError: Not such a PNG, truncated, or of more than `MAX_PIXELS`.
    """
    if (
        content == NO_MAP
    ):  # most records of most data sets, and Pillow takes its time for one pixel too
        return np.full((1, 1), UNKNOWN_CLASS, np.uint8)
    if not content.startswith(b"\x89PNG"):
        raise ImageDecodeError(f"class map starts with {content[:4]!r}, expected PNG")
    if content[24:26] not in (b"\x08\x00", b"\x08\x03"):
        raise ImageDecodeError(
            f"class map has bit depth {content[24:25].hex()} and colour type "
            f"{content[25:26].hex()}, expected one 8-bit channel"
        )
    plain = read_plain_png(content, MAX_PIXELS)
    if plain is not None:
        return plain
    with opened_image(content) as image:
        return np.array(image)


def resize_crop(
    pixels: np.ndarray, box: Box, shape: tuple[int, int], interpolation: str = "bicubic"
) -> np.ndarray:
    """Cut a box out of an image or a segmentation map and resize it.

    The box is in relative coordinates, so it fits a segmentation map of another resolution. Images are
    resized by Pillow's antialiased filters; a segmentation map keeps the class under each pixel's centre.

    Args:
        pixels: uint8 [H, W, 3] (image) or [H, W] (segmentation map).
        box: The part to keep.
        shape: Height and width of the result in pixels.
        interpolation: Name of one of Pillow's filters, in lower case; for images.

    Returns:
        uint8 [*shape, 3] or [*shape].
    """
    height, width = pixels.shape[:2]
    if pixels.ndim == 3:
        right, bottom = min(box.right, 1.0) * width, min(box.bottom, 1.0) * height
        edges = (max(box.left, 0.0) * width, max(box.top, 0.0) * height, right, bottom)
        filtered = Image.Resampling[interpolation.upper()]
        return np.asarray(Image.fromarray(pixels).resize((shape[1], shape[0]), filtered, box=edges))
    rows = _under_centres(box.top, box.bottom, height, shape[0])
    columns = _under_centres(box.left, box.right, width, shape[1])
    first, last = rows[0], rows[-1] + 1
    if last - first > len(rows):
        return pixels[rows][:, columns]
    # Columns are picked pixel by pixel, rows as wholes: so columns first, of no more rows than there are.
    return pixels[first:last][:, columns].take(rows - first, axis=0)


def _under_centres(start: float, end: float, length: int, count: int) -> np.ndarray:
    """Return the index of the pixel under the centre of each of `count` equal parts, int [count]."""
    places = ((start + _centres(count) * (end - start)) * length).astype(np.intp)
    return np.minimum(np.maximum(places, 0, out=places), length - 1, out=places)


@functools.lru_cache(maxsize=64)
def _centres(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count


def _jpeg_shape(content: bytes) -> tuple[int, int] | None:
    """Height and width of a gray or three-channel JPEG as stored; None where Pillow has to have a look."""
    try:
        found_height, found_width, colorspace, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    height, width = int(found_height), int(found_width)
    if is_progressive(content):
        check_size(height, width, MAX_PROGRESSIVE_PIXELS)
        most = MAX_SCANNED_PIXELS // (height * width)
        if jpeg_scans(content, most + 1) > most:
            raise ImageDecodeError(f"more than {most} scans of {width} x {height} pixels")
    if colorspace in ("CMYK", "YCCK"):
        return None
    check_size(height, width, MAX_JPEG_PIXELS)
    return height, width


def _scaled(side: int, reduction: int) -> int:
    return -(-side // reduction)


def _decode_jpeg(
    content: bytes, shape: tuple[int, int], reduction: int, strict: bool
) -> np.ndarray:
    height, width = (_scaled(side, reduction) for side in shape)
    coefficients = 3 * shape[0] * shape[1] if is_progressive(content) else 0
    with MEMORY.reserved(2 * 3 * height * width + _BYTES_A_COEFFICIENT * coefficients):
        try:
            if reduction == 1:
                return simplejpeg.decode_jpeg(content, colorspace="RGB")
            return simplejpeg.decode_jpeg(
                content, colorspace="RGB", min_height=height, min_width=width
            )
        except MemoryError:
            raise ImageDecodeError(
                f"{width} x {height} pixels, which memory does not hold"
            ) from None
        except ValueError as error:
            if strict:
                raise ImageDecodeError(" ".join(str(error).split())) from None
    with opened_image(content, reduction) as image:
        return rgb_pixels(image)


def _decode_with_pillow(content: bytes) -> np.ndarray:
    with opened_image(content) as image:
        pixels = rgb_pixels(image)
    return _upright(pixels, orientation(content))


def _upright(pixels: np.ndarray, code: int) -> np.ndarray:
    """Undo an EXIF orientation: 2 mirrored, 3 upside down, 4 both, 5 to 8 the same transposed."""
    if code == 1:
        return pixels
    if code >= 5:
        pixels = pixels.swapaxes(0, 1)
    flip_rows = code in (3, 4, 7, 8)
    flip_columns = code in (2, 3, 6, 7)
    pixels = pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return np.ascontiguousarray(pixels)
