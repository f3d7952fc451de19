"""Where the items of concatenated MessagePack begin and end, without reading the bytes inside them.

The `msgpack` library has to read an item to find the next one. To count a quarter of a terabyte of photos
that way would be to read it all; here strings and binaries are stepped over. Layout: the MessagePack
specification, section "Formats".
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_MAX_OBJECTS = 1024
"""Objects in one item; an item of photo and id has five."""

_BYTES_AFTER = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0),  # nil, false, true
    **dict.fromkeys((0xCC, 0xD0), 1),  # integers and floats of 8 to 64 bits
    **dict.fromkeys((0xCD, 0xD1), 2),
    **dict.fromkeys((0xCA, 0xCE, 0xD2), 4),
    **dict.fromkeys((0xCB, 0xCF, 0xD3), 8),
    **{0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17},  # extensions: a byte of type, 1 to 16 of data
}
_LENGTH_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}  # binaries, strings
_EXTENSION_LENGTH_BYTES = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_ARRAY_COUNT_BYTES = {0xDC: 2, 0xDD: 4}
_MAP_COUNT_BYTES = {0xDE: 2, 0xDF: 4}


class Item(NamedTuple):
    """One item, or where the file stops making sense.

    Attributes:
        begin: Offset in bytes.
        end: Where the next one begins.
        problem: Why nothing can be found from `begin` on; empty = it is an item.
    """

    begin: int
    end: int
    problem: str = ""


class _DamageError(ValueError):
    """The message is the reason."""


def items(file: BinaryIO, start: int, stop: int, size: int) -> Iterator[Item]:
    """Find the items that begin in `start` to `stop`; the file may be read and moved in between.

    Args:
        file: Open for reading.
        start: Where an item begins.
        stop: Items from there on are not looked for.
        size: Of the file in bytes.

    Yields:
        Items in order; damage is the last one.
    """
    if size == 0:
        yield Item(0, 0, "truncated archive: the file is empty")
    while start < stop:
        try:
            item = Item(start, _item_end(file, start, size))
        except _DamageError as error:
            yield Item(start, size, str(error))
            return
        yield item
        start = item.end


def _item_end(file: BinaryIO, begin: int, size: int) -> int:
    file.seek(begin)
    position, pending, objects = begin, 1, 0
    while pending:
        code = file.read(1)
        if objects == 0 and not _is_map(code):
            raise _DamageError(f"damaged archive: byte {begin} begins no map")
        count, objects_inside, skipped = _object(code[0], file) if code else (1, 0, 0)
        position += count + skipped
        if position > size:
            missing = f"{position - size} bytes of the item at byte {begin} are missing"
            raise _DamageError(f"truncated archive: {missing}")
        file.seek(position)
        pending += objects_inside - 1
        objects += 1
        if objects + pending > _MAX_OBJECTS:
            raise _DamageError(
                f"damaged archive: the item at byte {begin} holds more than {_MAX_OBJECTS} objects"
            )
    return position


def _is_map(code: bytes) -> bool:
    return bool(code) and (0x80 <= code[0] <= 0x8F or code[0] in _MAP_COUNT_BYTES)


def _object(code: int, file: BinaryIO) -> tuple[int, int, int]:
    """Bytes of an object's head, objects directly inside, bytes that follow the head."""
    if code < 0x80 or code >= 0xE0:
        return 1, 0, 0
    if code < 0xA0:
        return 1, (code & 0x0F) * (2 if code < 0x90 else 1), 0
    if code < 0xC0:
        return 1, 0, code & 0x1F
    if code in _BYTES_AFTER:
        return 1, 0, _BYTES_AFTER[code]
    for widths, extra in ((_LENGTH_BYTES, 0), (_EXTENSION_LENGTH_BYTES, 1)):
        if code in widths:
            return 1 + widths[code], 0, _number(file, widths[code]) + extra
    for widths, factor in ((_ARRAY_COUNT_BYTES, 1), (_MAP_COUNT_BYTES, 2)):
        if code in widths:
            return 1 + widths[code], factor * _number(file, widths[code]), 0
    raise _DamageError(f"damaged archive: byte 0x{code:02x} begins no object")


def _number(file: BinaryIO, width: int) -> int:
    return int.from_bytes(file.read(width), "big")
