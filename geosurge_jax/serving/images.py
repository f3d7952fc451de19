"""Images as people hand them over (files, bytes, PIL images, arrays, folders), decoded to uint8 RGB."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from geosurge_jax.input.image_files import list_images, read_image_file
from geosurge_jax.input.images import (
    ImageDecodeError,
    decode_class_map,
    decode_image,
    rgb_pixels,
)
from geosurge_jax.untrusted_text import readable_file_name

# One image: a file's name, its bytes, a PIL image, or an array uint8 [H, W, 3] or [H, W].
ImageSource = str | Path | bytes | Image.Image | np.ndarray


class ImageError(ValueError):
    """An image that cannot be read; the message is one line that names it."""


def is_one_image(images: Any) -> bool:
    """Whether an argument stands for one image and not for several; a folder stands for several."""
    if isinstance(images, str | Path):
        return not Path(images).is_dir()
    return isinstance(images, bytes | bytearray | memoryview | Image.Image | np.ndarray)


def iterate_images(images: Any) -> Iterator[ImageSource]:
    """Yields the images of a folder, with those of its subfolders, by name, or of a list or generator.

    Raises:
        TypeError: neither; says what was expected.
    """
    if isinstance(images, str | Path):
        yield from images_of_folder(Path(images))
    elif isinstance(images, Iterable):
        yield from images
    else:
        raise TypeError(
            f"images is {type(images).__name__}: expected a file name, bytes, a PIL image, an array uint8 "
            "[H, W, 3], a folder, or several of these"
        )


def images_of_folder(folder: Path) -> Iterator[Path]:
    """Yields the image files of a folder and its subfolders; see `list_images`."""
    for path in list_images(folder).images:
        yield folder / path


def readable_name(source: ImageSource, number: int) -> str:
    """Returns how an image is called in results: its file name, or "image NUMBER".

    Bytes of a file name that are no text appear as escapes.
    """
    return readable_file_name(source) if isinstance(source, str | Path) else f"image {number}"


def decode(source: ImageSource, name: str) -> np.ndarray:
    """Decodes an image to uint8 `[H, W, 3]`, turned upright by its EXIF orientation.

    Raises:
        ImageError: it cannot be read; one line with its name.
    """
    try:
        if isinstance(source, str | Path):
            return decode_image(read_image_file(Path(source)))
        if isinstance(source, bytes | bytearray | memoryview):
            return decode_image(bytes(source))
        if isinstance(source, Image.Image):
            return rgb_pixels(ImageOps.exif_transpose(source))
        return _checked_array(source)
    except ImageDecodeError as error:
        raise ImageError(f"{name}: {error}") from None
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror or error})") from None
    except (
        Exception
    ) as error:  # a NUL byte in a name, too little memory, a decoder's own ways to fail
        said = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: cannot be read ({said})") from None


def map_of(source: ImageSource, given: Any) -> Any:
    """Returns the segmentation map of one image: the one that was given, or `NAME.png` in a given folder.

    Returns:
        A file's name, bytes or an array; None where there is none.
    """
    if not isinstance(given, str | Path) or not Path(given).is_dir():
        return given
    if not isinstance(source, str | Path):
        return None
    found = Path(given) / f"{Path(source).stem}.png"
    return found if found.is_file() else None


def map_for_each(given: Any) -> Callable[[int], Any]:
    """Returns `number -> map` for the images of a batch, counted from 1.

    Args:
        given: a folder of maps, a sequence with a map or None for each image, or None.

    Raises:
        TypeError: something else; says what was expected.
    """
    if given is None or (isinstance(given, str | Path) and Path(given).is_dir()):
        return lambda number: given
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        maps = given
        return lambda number: maps[number - 1] if number <= len(maps) else None
    raise TypeError(
        f"segmentation_maps is {type(given).__name__}: expected a folder, or a sequence with a map or "
        "None for each image"
    )


def decode_segmentation_map(source: str | Path | bytes | np.ndarray) -> np.ndarray:
    """Decodes a segmentation map to uint8 `[H, W]`, ADE20K's classes from 0 and 255 = unknown.

    Args:
        source: PNG of one 8-bit channel, as a file's name or bytes; or the array itself.

    Raises:
        ImageError: it cannot be read; one line.
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 2 or not source.size:
            raise ImageError(
                f"segmentation map {source.dtype} {source.shape}: expected uint8 [H, W]"
            )
        return source
    name = readable_name(source, 0) if isinstance(source, str | Path) else "segmentation map"
    try:
        named = isinstance(source, str | Path)
        content = read_image_file(Path(source)) if named else source
        return decode_class_map(content)
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror or error})") from None
    except ImageDecodeError as error:
        raise ImageError(f"{name}: {error}") from None


def _checked_array(array: Any) -> np.ndarray:
    """An array as uint8 `[H, W, 3]`; gray is repeated."""
    pixels = np.asarray(array)
    gray = pixels.ndim == 2
    if pixels.dtype != np.uint8 or not pixels.size or not (gray or pixels.shape[2:] == (3,)):
        raise ImageDecodeError(
            f"array {pixels.dtype} {pixels.shape}: expected uint8 [H, W, 3] or [H, W]"
        )
    return np.repeat(pixels[..., None], 3, axis=2) if gray else pixels
