"""Images that Pillow decodes, within the limits of `decode_limits`."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, Jpeg2KImagePlugin, JpegImagePlugin

from geosurge_jax.input.decode_limits import (
    MAX_DECODED_JPEG2000_PIXELS,
    MAX_PIXELS,
    MAX_PIXELS_OF,
    MEMORY,
    ImageDecodeError,
    check_size,
)
from geosurge_jax.input.image_formats import HEIF_INSTALLED, is_heif, open_image, webp_size
from geosurge_jax.input.png_chunks import PNG_SIGNATURE, only_pixels

_BYTES_A_PIXEL = 8  # of an image in Pillow and as an array
_BYTES_A_PIXEL_OF = {"WEBP": 20, "AVIF": 16, "JPEG2000": 5, "HEIF": 12}
_BAND = 2**20  # pixels converted at a time


@contextmanager
def opened_image(content: bytes, reduction: int = 1) -> Iterator[Image.Image]:
    """Open and fully decode the first frame of an image.

    Args:
        content: A file of an accepted format.
        reduction: A JPEG is decoded at 1/`reduction` of its size.

    Raises:
        ImageDecodeError: It cannot be decoded, would cost too much, or the block fails.
    """
    try:
        size = webp_size(content)
        if size is not None:
            check_size(*size, MAX_PIXELS_OF["WEBP"])
        image = _header(content, reduction)
        form = image.format or ""
        check_size(image.height, image.width, MAX_PIXELS_OF.get(form, MAX_PIXELS))
        if isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile):
            image.reduce = _halvings(image.height * image.width)
        cost = _BYTES_A_PIXEL_OF.get(form, _BYTES_A_PIXEL) * image.height * image.width
        with MEMORY.reserved(cost), image:
            image.load()
            yield image
    except ImageDecodeError:
        raise
    except Exception as error:  # each of Pillow's formats has its own way to fail on damage
        reason = " ".join(str(error).split()) or type(error).__name__
        if "cannot identify image file" in reason:
            reason = f"not a picture (starts with {content[:8]!r})"
            if is_heif(content) and not HEIF_INSTALLED:
                reason = "HEIC, which needs `pip install 'geosurge-jax[heif]'`"
        raise ImageDecodeError(reason) from None


def _halvings(pixels: int) -> int:
    """How often both sides of a JPEG 2000 are halved as it is decoded."""
    halvings = 0
    while pixels >> 2 * halvings > MAX_DECODED_JPEG2000_PIXELS:
        halvings += 1
    return halvings


def _header(content: bytes, reduction: int) -> Image.Image:
    """An image of which the header alone is read."""
    if reduction == 1:
        return open_image(only_pixels(content) if content.startswith(PNG_SIGNATURE) else content)
    # `Image.open` would warn about the size before the reduction.
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
    size = (max(1, image.width // reduction), max(1, image.height // reduction))
    image.draft(image.mode, size)
    return image


def rgb_pixels(image: Image.Image) -> np.ndarray:
    """Converts an opened image to uint8 `[H, W, 3]`; transparency is laid on white.

    Rows are converted some at a time, so that no second copy of a large image arises.

    Raises:
        ImageDecodeError: pixels of 32 bits, whose range is not known.
    """
    if image.mode in ("I", "F"):
        raise ImageDecodeError(f"pixels of mode {image.mode} (32 bit), expected 8 or 16 bit")
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND // max(width, 1))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = _rgb_band(image.crop((0, top, width, bottom)))
    return pixels


def _rgb_band(band: Image.Image) -> np.ndarray:
    """uint8 [h, W, 3], or [h, W, 1] of gray."""
    if band.mode.startswith("I;16"):
        return (np.asarray(band) >> 8).astype(np.uint8)[..., None]
    if band.has_transparency_data:
        rgba = band.convert("RGBA")
        band = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(band.convert("RGB"))
