"""The one decoder and the one resizer, for training, evaluation and plain photo files."""

import io

import numpy as np
import simplejpeg
from PIL import Image

from geosurge_jax.input.exif import EXIF_MARK, jpeg_exif, orientation
from geosurge_jax.input.geometry import Box

MAX_PIXELS = 89_478_485
"""Larger pictures are refused: a decompression bomb, or 256 MiB once decoded (Pillow's limit)."""


class ImageDecodeError(ValueError):
    """An image that cannot be decoded; the message is the reason."""


def decode_image(content: bytes) -> np.ndarray:
    """Decode a photo, turned upright by its EXIF orientation.

    simplejpeg decodes JPEG with one or three channels, Pillow everything else: PNG, WebP, CMYK,
    palettes, and JPEG that libjpeg has complaints about. 16-bit channels keep their upper 8 bits;
    transparency is laid on white.

    Args:
        content: A JPEG, PNG, WebP, or another still picture that Pillow reads.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ImageDecodeError: Not a picture, truncated, or of more than `MAX_PIXELS`.
    """
    if not content:
        raise ImageDecodeError("empty file")
    if content.startswith(b"\xff\xd8\xff"):
        pixels = _decode_jpeg(content)
        if pixels is not None:
            tiff = jpeg_exif(content) if EXIF_MARK in content[: 1 << 17] else None
            return _upright(pixels, orientation(tiff))
    return _decode_with_pillow(content)


def decode_class_map(content: bytes) -> np.ndarray:
    """Decode a segmentation map.

    Args:
        content: A PNG with one 8-bit channel (a palette's colours are ignored).

    Returns:
        uint8 [H, W], 255 = unknown.

    Raises:
        ImageDecodeError: Not such a PNG, truncated, or of more than `MAX_PIXELS`.
    """
    if not content.startswith(b"\x89PNG"):
        raise ImageDecodeError(f"class map starts with {content[:4]!r}, expected PNG")
    if content[24:26] not in (b"\x08\x00", b"\x08\x03"):
        raise ImageDecodeError(
            f"class map has bit depth {content[24:25].hex()} and colour type "
            f"{content[25:26].hex()}, expected one 8-bit channel"
        )
    with _opened(content) as image:
        return np.array(image)


def resize_crop(
    pixels: np.ndarray, box: Box, shape: tuple[int, int], interpolation: str = "bicubic"
) -> np.ndarray:
    """Cut a box out of a photo or a class map and resize it.

    The box is in relative coordinates, so a class map of another resolution takes the geometry of
    its photo. Photos: Pillow's antialiased filters; class maps: the pixel under each centre.

    Args:
        pixels: uint8 [H, W, 3] (photo) or [H, W] (class map).
        box: What to keep.
        shape: Height and width of the result in pixels.
        interpolation: Name of one of Pillow's filters, in lower case; for photos.

    Returns:
        uint8 [*shape, 3] or [*shape].
    """
    height, width = pixels.shape[:2]
    if pixels.ndim == 3:
        right, bottom = min(box.right, 1.0) * width, min(box.bottom, 1.0) * height
        edges = (max(box.left, 0.0) * width, max(box.top, 0.0) * height, right, bottom)
        filtered = Image.Resampling[interpolation.upper()]
        return np.asarray(Image.fromarray(pixels).resize((shape[1], shape[0]), filtered, box=edges))
    down, across = ((np.arange(count) + 0.5) / count for count in shape)
    rows = (box.top + down * (box.bottom - box.top)) * height
    columns = (box.left + across * (box.right - box.left)) * width
    rows = rows.astype(np.intp).clip(0, height - 1)
    columns = columns.astype(np.intp).clip(0, width - 1)
    return pixels[rows[:, None], columns]


def _decode_jpeg(content: bytes) -> np.ndarray | None:
    """Pixels of a gray or three-channel JPEG; None where Pillow has to have a look."""
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(content)
        if colorspace in ("CMYK", "YCCK"):
            return None
        _check_pixels(int(height), int(width))
        return simplejpeg.decode_jpeg(content, colorspace="RGB")
    except ImageDecodeError:
        raise
    except ValueError:
        return None


def _decode_with_pillow(content: bytes) -> np.ndarray:
    with _opened(content) as image:
        tiff = image.info.get("exif")
        pixels = _rgb(image)
    return _upright(pixels, orientation(tiff))


def _opened(content: bytes) -> Image.Image:
    """Open and fully decode the first frame."""
    try:
        image = Image.open(io.BytesIO(content))
        _check_pixels(image.height, image.width)
        image.load()
    except ImageDecodeError:
        raise
    except Exception as error:  # each of Pillow's formats has its own way to fail on damage
        reason = " ".join(str(error).split()) or type(error).__name__
        if "cannot identify image file" in reason:
            reason = f"not a picture (starts with {content[:8]!r})"
        raise ImageDecodeError(reason) from None
    return image


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        gray = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise ImageDecodeError(f"pixels of mode {image.mode} (32 bit), expected 8 or 16 bit")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"))


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


def _check_pixels(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise ImageDecodeError(f"{width} x {height} pixels, expected at most {MAX_PIXELS}")
