"""Detect the encoding of a text file and open it."""

import codecs
import os
from dataclasses import dataclass
from typing import TextIO

_BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True)
class TextEncoding:
    """The encoding of a file.

    Attributes:
        codec: Python's name of it.
        note: One line for the user if the encoding is not UTF-8, otherwise empty.
    """

    codec: str
    note: str = ""


UTF8 = TextEncoding("utf-8-sig")


def detect_encoding(path: str | os.PathLike) -> TextEncoding:
    """Return the encoding of a text file; reads the file once.

    A byte order mark decides. Without one, zero bytes at regular places mean UTF-16 or UTF-32. A file that is
    not UTF-8 is cp1252, unless another of its lines is UTF-8 beyond ASCII: then single lines are damaged.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        sample = file.read(_SAMPLE_BYTES)
    for mark, codec in _BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return TextEncoding(codec, f"read as {codec.upper()}")
    codec = _codec_of_zero_bytes(sample)
    if codec:
        return TextEncoding(codec, f"read as {codec.upper()}, which has no byte order mark")
    if _is_cp1252(path):
        return TextEncoding("cp1252", "read as cp1252 because it is not UTF-8")
    return UTF8


def open_text(path: str | os.PathLike, encoding: TextEncoding) -> TextIO:
    """Open a file as text and keep its line ends.

    Bytes that are not valid UTF-8 become lone surrogates, which `is_damaged` finds.

    Raises:
        OSError: The file cannot be opened.
    """
    errors = "surrogateescape" if encoding.codec == UTF8.codec else "replace"
    return open(path, encoding=encoding.codec, errors=errors, newline="")


def is_damaged(text: str) -> bool:
    """Return True if `text` holds a byte that was not valid in its file, or another lone surrogate."""
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _codec_of_zero_bytes(sample: bytes) -> str:
    """UTF-16 or UTF-32 without a byte order mark, recognised by ASCII characters; else empty."""
    quarters = [sample[start::4].count(0) * 4 / max(len(sample), 1) for start in range(4)]
    zeros = [share > 0.5 for share in quarters]
    patterns = {
        (False, True, True, True): "utf-32-le",
        (True, True, True, False): "utf-32-be",
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
    }
    return patterns.get((zeros[0], zeros[1], zeros[2], zeros[3]), "")


def _is_cp1252(path: str | os.PathLike) -> bool:
    """Return True if lines are not UTF-8, all of those are cp1252, and no other line is non-ASCII UTF-8."""
    found = False
    with open(path, "rb") as file:
        for line in file:
            if line.isascii():
                continue
            try:
                line.decode("utf-8-sig")
                if line.removeprefix(codecs.BOM_UTF8).isascii():
                    continue
                return False
            except UnicodeDecodeError:
                found = True
            try:
                line.decode("cp1252")
            except UnicodeDecodeError:
                return False
    return found
