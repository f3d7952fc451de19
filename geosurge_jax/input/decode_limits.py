"""What decoding one image may cost, and all images together that are decoded at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_PIXELS = 2**25
"""Pixels of an image at most, where its format cannot be decoded at reduced size."""

MAX_PIXELS_OF = {"WEBP": 20_000_000, "AVIF": 25_000_000, "JPEG2000": 80_000_000, "HEIF": 50_000_000}
"""The same of formats whose decoders hold several copies of an image; phones write HEIC of 48 megapixels."""

MAX_JPEG_PIXELS = 2**28
"""Pixels of a baseline JPEG as stored at most: 200-megapixel phones are below."""

MAX_PROGRESSIVE_PIXELS = 50_000_000
"""The same of a progressive JPEG, all of whose coefficients are held while it is decoded."""

MAX_SCANNED_PIXELS = 600_000_000
"""Pixels times scans of a progressive JPEG at most; usual ones have about ten scans."""

MAX_DECODED_JPEG2000_PIXELS = 5_000_000
"""Pixels of a decoded JPEG 2000 at most; larger ones are decoded at 1/2, 1/4, ... of their size."""

MAX_DECODED_JPEG_PIXELS = 2**26
"""Pixels of a decoded JPEG at most; larger ones are decoded at 1/2, 1/4 or 1/8 of their size."""

MAX_SIDE = 2**16 - 1
"""Pixels of a side at most, as of JPEG itself: pixels in one row have no use and cost memory by the row."""

BYTES_AT_A_TIME = 1_600_000_000
"""Memory of all images that are decoded at a time, in all threads; a larger image waits for all others."""


class ImageDecodeError(ValueError):
    """An image that cannot be decoded, or would cost too much; the message is the reason."""


def check_size(height: int, width: int, limit: int) -> None:
    """Checks the size of an image before it is decoded.

    Args:
        height: in pixels.
        width: in pixels.
        limit: pixels at most.

    Raises:
        ImageDecodeError: it is larger.
    """
    if height * width > limit:
        raise ImageDecodeError(f"{width} x {height} pixels, expected at most {limit}")
    if max(height, width) > MAX_SIDE:
        raise ImageDecodeError(f"{width} x {height} pixels, expected sides of at most {MAX_SIDE}")


class DecodingMemory:
    """A budget of memory that threads wait for."""

    def __init__(self, size: int):
        """Takes the budget in bytes."""
        self._size = size
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Waits until so many bytes are free, or nothing else is decoded, and gives them back at the end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + size <= self._size)
            self._used += size
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()


MEMORY = DecodingMemory(BYTES_AT_A_TIME)
"""Of this process."""
