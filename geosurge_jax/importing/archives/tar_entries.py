"""The entries of a tar, header by header, with what is damaged stepped over.

`tarfile` keeps every header in memory and ends at the first damaged one. Its parser of one header is used
here; what goes before and after is POSIX.1-2001 (pax), section "pax Interchange Format", and GNU tar's
manual, section "Basic Tar Format". Tars that were put one behind the other are read on.
"""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from geosurge_jax.importing.file_names import decoded_name, shown

_BLOCK = tarfile.BLOCKSIZE
_ZEROS = bytes(_BLOCK)
_MAGIC, _MAGIC_OFFSET = b"ustar", 257
_MAX_EXTENSION = 2**20
"""Bytes of a long name or of pax headers; they are read into memory."""
_SEARCHED = 2**20  # bytes read at a time while a header is looked for
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTENSIONS = (*_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_OTHERS = {
    tarfile.LNKTYPE: "hard link",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "pipe",
}


class Entry(NamedTuple):
    """One entry of a tar, or a place where it is damaged.

    Attributes:
        begin: Offset of its first header in bytes.
        name: Bytes that are not UTF-8 are lone surrogates.
        offset: Of its content.
        size: Of its content in bytes.
        problem: "kind: reason"; empty = a regular file.
    """

    begin: int
    name: str
    offset: int
    size: int
    problem: str = ""


class _DamageError(ValueError):
    """The message is the reason."""


def entries(file: BinaryIO, start: int, stop: int, size: int) -> Iterator[Entry]:
    """Find the entries whose headers begin in `start` to `stop`; folders are left out.

    The file may be read and moved in between. After damage the search goes on at the next block that is a
    header by its mark and checksum.

    Args:
        file: Open for reading.
        start: Where an entry begins.
        stop: Entries from there on are not looked for.
        size: Of the whole file in bytes.
    """
    position, ended = start, False
    while position < min(stop, size):
        begin = position
        block = _read(file, begin, _BLOCK)
        if block == _ZEROS:
            position, ended = begin + _BLOCK, True
            continue
        ended = False
        try:
            entry, position = _entry(file, begin, size)
        except _DamageError as error:
            entry = Entry(begin, "", begin, 0, str(error))
            position = _next_header(file, begin + _BLOCK, size)
            ended = position >= size  # told already
        if entry is not None:
            yield entry
    if position >= size and not ended:
        yield Entry(size, "", size, 0, "truncated archive: the end mark is missing")


def _entry(file: BinaryIO, begin: int, size: int) -> tuple[Entry | None, int]:
    """An entry (None for a folder) and the offset behind it."""
    name, pax, position = None, {}, begin
    while (header := _header(file, position)).type in _EXTENSIONS:
        content = _extension(file, position, header, size)
        if header.type == tarfile.GNUTYPE_LONGNAME:
            name = decoded_name(content.partition(b"\0")[0])
        elif header.type in _PAX:
            pax = _pax_records(content, position)
        position += _BLOCK + _padded(header.size)
    name = decoded_name(pax[b"path"]) if b"path" in pax else name or header.name
    offset = position + _BLOCK
    if header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith(b"GNU.sparse.") for key in pax):
        raise _DamageError(f"sparse file: {shown(name)}, expected files that are stored whole")
    length = _pax_size(pax, position) if b"size" in pax else header.size
    if header.type in (*_OTHERS, tarfile.DIRTYPE):
        length = 0
    if offset + length > size:
        raise _DamageError(
            f"truncated archive: {shown(name)} has {length} bytes, {max(size - offset, 0)} are there"
        )
    after = offset + _padded(length)
    if header.type == tarfile.DIRTYPE:
        return None, after
    problem = ""
    if header.type not in _REGULAR:
        kind = _OTHERS.get(header.type, f"entry of type {ascii(header.type)[1:]}")
        problem = f"not a file: {shown(name)} is a {kind}"
    return Entry(begin, name, offset, length, problem), after


def _header(file: BinaryIO, position: int) -> tarfile.TarInfo:
    block = _read(file, position, _BLOCK)
    if len(block) < _BLOCK:
        raise _DamageError(f"truncated archive: the header at byte {position} is cut")
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise _DamageError(f"damaged archive: no header at byte {position}") from None
    if header.size < 0:
        raise _DamageError(f"damaged archive: size {header.size} at byte {position}")
    return header


def _extension(file: BinaryIO, position: int, header: tarfile.TarInfo, size: int) -> bytes:
    if header.size > _MAX_EXTENSION:
        raise _DamageError(
            f"damaged archive: {header.size} bytes of extended header at byte {position}, "
            f"expected at most {_MAX_EXTENSION}"
        )
    content = _read(file, position + _BLOCK, header.size)
    if len(content) < header.size:
        raise _DamageError(f"truncated archive: the header at byte {position} is cut")
    return content


def _pax_records(content: bytes, position: int) -> dict[bytes, bytes]:
    """Records of length (of the whole record), space, key, equals sign, value and line feed."""
    records, start = {}, 0
    while start < len(content) and content[start]:
        digits = content[start : start + 10].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = content[start + len(digits) + 1 : start + length]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n" or start + length > len(content):
            raise _DamageError(f"damaged archive: no pax header at byte {position}")
        records[key] = value
        start += length
    return records


def _pax_size(pax: dict[bytes, bytes], position: int) -> int:
    text = pax[b"size"]
    if not text.isdigit() or len(text) > 20:
        raise _DamageError(f"damaged archive: pax size {ascii(text[:20])} at byte {position}")
    return int(text)


def _next_header(file: BinaryIO, start: int, size: int) -> int:
    """Offset of the next block that is a header, `size` where there is none."""
    while start < size:
        content = _read(file, start, _SEARCHED)
        found = content.find(_MAGIC)
        while found >= 0:
            offset = found - _MAGIC_OFFSET
            block = content[offset : offset + _BLOCK]
            if offset >= 0 and offset % _BLOCK == 0 and _is_header(block):
                return start + offset
            found = content.find(_MAGIC, found + 1)
        start += _SEARCHED
    return size


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _read(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)


def _padded(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK
