"""Which files make up a tar: one, or the parts that it was cut into, read in place as one file."""

import functools
import io
import os
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import BinaryIO

_PACKED = "gz|bz2|xz|zst|lz4|lzma"
_PART = re.compile(
    r"(?P<whole>.+\.tar)[._-]?(?P<word>part[._-]?)?(?P<number>\d+|[a-z]{2,6})",
    re.IGNORECASE,
)
_COMPRESSED_NAME = re.compile(
    rf"(?P<stem>.+)\.(?:t[gbx]z2?|tar\.(?:{_PACKED}))(?:[._-].*)?", re.IGNORECASE
)
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def tar_files(paths: Sequence[str]) -> dict[str, list[str]]:
    """The tars among paths: first file -> all its files in order; one file where it is not cut.

    Parts are `NAME.tar.00`, `NAME.tar.aa`, `NAME.tar.part1` and the like.

    Raises:
        ValueError: A part is missing, or a tar lies beside its own parts.
    """
    whole = [path for path in paths if path.lower().endswith(".tar")]
    groups: dict[tuple[str, str, bool], list[str]] = {}
    for path in paths:
        match = _PART.fullmatch(path)
        if match is not None:
            key = (match["whole"], match["word"] or "", match["number"].isdigit())
            groups.setdefault(key, []).append(path)
    found = {path: [path] for path in whole}
    for (stem, _, digits), parts in groups.items():
        parts.sort(key=_part_order)
        numbers = [_number(part) for part in parts]
        if not digits and _value(numbers[0]) and not (len(parts) > 1 and _is_run(numbers)):
            continue  # files of another kind, as NAME.tar.gz and NAME.tar.sha
        if stem in found:
            raise ValueError(
                f"{stem} lies beside its parts ({parts[0]}, ...), expected one of the two (--source)"
            )
        _check_complete(parts)
        found[parts[0]] = parts
    return found


def whole_name(path: str) -> str:
    """The name of the tar that a file is, or is the first part of."""
    match = _PART.fullmatch(path)
    return path if match is None else match["whole"]


def parts_beside(path: Path) -> list[Path]:
    """All files of the tar that a file is, or is a part of, in order.

    Raises:
        ValueError: As `tar_files`.
    """
    if _PART.fullmatch(path.name) is None:
        return [path]
    siblings = (
        name for name in os.listdir(path.parent) if whole_name(name) == whole_name(path.name)
    )
    for parts in tar_files(sorted(siblings)).values():
        if path.name in parts:
            return [path.parent / name for name in parts]
    return [path]


def unpacked_name(path: str) -> str:
    """The name that a compressed tar (or a part of one) has once it is decompressed, empty = it is none."""
    match = _COMPRESSED_NAME.fullmatch(path)
    return "" if match is None else f"{match['stem']}.tar"


def compression(content: bytes) -> str:
    """The name of the compression that a file begins with, empty = none."""
    return next((name for mark, name in _COMPRESSED.items() if content.startswith(mark)), "")


def open_joined(paths: Sequence[Path]) -> BinaryIO:
    """Open files one after the other as one file to read and seek in; one of them is open at a time."""
    if len(paths) == 1:
        return paths[0].open("rb")
    return io.BufferedReader(_JoinedFile(paths))


class _JoinedFile(io.RawIOBase):
    """Several files as one, read only."""

    def __init__(self, paths: Sequence[Path]):
        super().__init__()
        self._paths = paths
        self._starts = list(accumulate((path.stat().st_size for path in paths), initial=0))
        self._position = 0
        self._number = -1
        self._file: io.FileIO | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer) -> int:
        if self._position >= self._starts[-1]:
            return 0
        number = bisect_right(self._starts, self._position) - 1
        file = self._part(number)
        file.seek(self._position - self._starts[number])
        read = file.readinto(buffer)
        self._position += read
        return read

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()

    def _part(self, number: int) -> io.FileIO:
        if self._file is None or self._number != number:
            if self._file is not None:
                self._file.close()
            self._file, self._number = io.FileIO(self._paths[number]), number
        return self._file


def _part_order(path: str) -> tuple[int, int, str]:
    """Sorts parts: numbers by value, letters as `split` counts on (aa ... yz, zaaa ...)."""
    number = _number(path)
    return (int(number), 0, path) if number.isdigit() else (0, len(number), number.lower())


def _number(path: str) -> str:
    match = _PART.fullmatch(path)
    return match["number"] if match is not None else ""


def _value(number: str) -> int:
    if number.isdigit():
        return int(number)
    return functools.reduce(
        lambda value, letter: value * 26 + ord(letter) - ord("a"), number.lower(), 0
    )


def _is_follower(number: str, following: str) -> bool:
    # Where its numbers run out, `split` goes on with longer ones: 89, 9000, ... and yz, zaaa, ...
    longer = len(following) > len(number) and following.lower().lstrip("z9").strip("a0") == ""
    return longer or _value(following) == _value(number) + 1


def _is_run(numbers: Sequence[str]) -> bool:
    return all(_is_follower(number, following) for number, following in pairwise(numbers))


def _check_complete(parts: Sequence[str]) -> None:
    first = _number(parts[0])
    if _value(first) > (1 if first.isdigit() else 0):
        raise ValueError(f"{parts[0]}: the parts before it are missing (--source)")
    for part, following in pairwise(parts):
        if not _is_follower(_number(part), _number(following)):
            raise ValueError(
                f"{part}: the part after it is missing, the next is {following} (--source)"
            )
