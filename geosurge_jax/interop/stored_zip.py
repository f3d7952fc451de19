"""Zip archives without compression, as torch writes them: where each entry's bytes lie in the file.

Python's zipfile reads hostile archives leniently, compressed and overlapping ones too, and takes many times
their size in memory. Of the format (PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3) torch needs so little
that the strict reading of it is short.
"""

import re
import stat
import struct
from dataclasses import dataclass

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_DIRECTORY_LIMIT = 16 * 2**20  # bytes; an entry takes about 100
_IN_EXTRA = 0xFFFFFFFF  # a number that stands in the extra field of 64-bit numbers instead
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_SIZES_FOLLOW = 0x0008
_UNIX = 3
_STEP = r"(?!\.\.?(/|\Z))[^/\\\0]+"  # no step back, and no other separator
_NAME = re.compile(f"{_STEP}(/{_STEP})+")


@dataclass(frozen=True)
class _Entry:
    name: str
    size: int
    header: int  # offset of its local header


def stored_entries(content: memoryview, source: str) -> dict[str, memoryview]:
    """Finds the entries of an archive; reads its directory, and none of the entries.

    Args:
        content: the whole archive.
        source: the file, for messages.

    Returns:
        A view of each entry's bytes by name. Checksums are not compared, which would read everything.

    Raises:
        WeightsError: not a whole archive, or entries that are compressed, encrypted, links, overlapping, of
            one name, or of a name that leads out of one top folder.
    """
    try:
        entries, directory = _central_directory(content)
        views, end = {}, 0
        for entry in sorted(entries, key=lambda entry: entry.header):
            if entry.header < end:
                raise ValueError(f"entry {quoted(entry.name)} overlaps another one")
            if entry.header > directory:
                raise ValueError(f"entry {quoted(entry.name)} lies behind the directory")
            begin = _data_offset(content, entry)
            end = begin + entry.size
            if end > directory:
                raise ValueError(f"entry {quoted(entry.name)} does not end before the directory")
            views[entry.name] = content[begin:end]
    except (ValueError, struct.error) as error:
        raise WeightsError(f"{source}: zip archive not as torch writes it: {error}") from error
    return views


def _central_directory(content: memoryview) -> tuple[list[_Entry], int]:
    count, size, offset = _end_record(content)
    if size > _DIRECTORY_LIMIT:
        raise ValueError(f"directory of {size} bytes, at most {_DIRECTORY_LIMIT} are read")
    position, end = offset, offset + size
    entries: dict[str, _Entry] = {}
    while position < end:
        entry, position = _central_entry(content, position, end)
        if entry.name in entries:
            raise ValueError(f"two entries are named {quoted(entry.name)}")
        entries[entry.name] = entry
    if position != end or len(entries) != count:
        raise ValueError(f"{len(entries)} entries in its directory, {count} were promised")
    if len({name.split("/")[0] for name in entries}) != 1:
        raise ValueError("entries in several top folders, one was expected")
    return list(entries.values()), offset


def _end_record(content: memoryview) -> tuple[int, int, int]:
    """Number of entries, size and offset of the directory."""
    position = len(content) - _END.size
    if position < 0 or bytes(content[position : position + 4]) != b"PK\5\6":
        raise ValueError("does not end with the record that closes a whole archive")
    _, *disks, count, size, offset, _ = _END.unpack_from(content, position)
    locator = position - _END64_LOCATOR.size
    if locator >= 0 and bytes(content[locator : locator + 4]) == b"PK\6\7":
        _, _, position, _ = _END64_LOCATOR.unpack_from(content, locator)
        if (
            position + _END64.size != locator
            or bytes(content[position : position + 4]) != b"PK\6\6"
        ):
            raise ValueError("its 64-bit closing record is not where it is said to be")
        short = (count, size, offset)
        _, _, _, _, *disks, count, size, offset = _END64.unpack_from(content, position)
        unset = (0xFFFF, _IN_EXTRA, _IN_EXTRA)
        if any(
            a not in (b, c) for a, b, c in zip(short, (count, size, offset), unset, strict=True)
        ):
            raise ValueError("its two closing records disagree")
    if disks != [0, 0, count]:
        raise ValueError("in several parts, one was expected")
    if offset + size != position:
        raise ValueError("its directory is not where it is said to be")
    return count, size, offset


def _central_entry(content: memoryview, position: int, end: int) -> tuple[_Entry, int]:
    fields = _CENTRAL.unpack_from(content, position)
    magic, made_by, _, flags, method, _, _, _, packed, size = fields[:10]
    name_length, extra_length, comment_length, _, _, attributes, header = fields[10:]
    begin = position + _CENTRAL.size
    after = begin + name_length + extra_length + comment_length
    if magic != b"PK\1\2" or after > end:
        raise ValueError(f"its directory has no entry at byte {position}")
    name = bytes(content[begin : begin + name_length]).decode()
    if not _NAME.fullmatch(name):
        raise ValueError(f"entry name {quoted(name)}, FOLDER/NAME was expected")
    extra = content[begin + name_length : begin + name_length + extra_length]
    size, packed, header = _long_numbers(extra, (size, packed, header))
    if flags & _ENCRYPTED:
        raise ValueError(f"entry {quoted(name)} is encrypted")
    if method or packed != size:
        raise ValueError(f"entry {quoted(name)} is compressed, torch stores them as they are")
    if made_by >> 8 == _UNIX and stat.S_ISLNK(attributes >> 16):
        raise ValueError(f"entry {quoted(name)} is a link")
    return _Entry(name, size, header), after


def _long_numbers(extra: memoryview, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Puts 64-bit numbers from the extra field where the 32-bit ones are unset."""
    long = memoryview(b"")
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            long = extra[4 : 4 + length]
        extra = extra[4 + length :]
    found = []
    for number in numbers:
        if number == _IN_EXTRA:
            (number,) = struct.unpack_from("<Q", long)
            long = long[8:]
        found.append(number)
    return tuple(found)


def _data_offset(content: memoryview, entry: _Entry) -> int:
    """Where an entry's bytes begin: its local header may be padded differently from the directory."""
    fields = _LOCAL.unpack_from(content, entry.header)
    magic, _, flags, method, _, _, _, _, size, name_length, extra_length = fields
    begin = entry.header + _LOCAL.size
    name = bytes(content[begin : begin + name_length])
    unset = (0, _IN_EXTRA) if flags & _SIZES_FOLLOW else (_IN_EXTRA,)
    if (magic, name, method) != (b"PK\3\4", entry.name.encode(), 0) or flags & _ENCRYPTED:
        raise ValueError(f"entry {quoted(entry.name)} and its own header disagree")
    if size not in (entry.size, *unset):
        raise ValueError(f"entry {quoted(entry.name)} has two sizes, {entry.size} and {size}")
    return begin + name_length + extra_length
