"""Text of unknown origin (file names, ids, authors, captions) made safe for terminals and spreadsheets."""

import os
import re

# Spreadsheets take cells that begin like this for formulas. Some skip a leading tab or carriage return.
_FORMULA = re.compile(r"[=+\-@\x00-\x1f]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def printable(text: str) -> str:
    r"""Replaces characters that do not print by escapes such as `\x1b`.

    File names and sentences may hold control characters, which terminals obey and XML forbids, and lone
    surrogates, which no encoding can write.
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def readable_file_name(name: str | os.PathLike) -> str:
    r"""Returns a file name as text that UTF-8 can hold; other bytes appear as escapes such as `\xdf`."""
    return encodable(os.fspath(name))


def encodable(text: str) -> str:
    r"""Returns a text that UTF-8 can hold.

    Lone surrogates that stand for bytes of a file name (see `os.fsdecode`) become escapes such as `\xdf`,
    others escapes such as `\ud800`.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def csv_cell(text: str) -> str:
    """Returns a text that no spreadsheet takes for a formula, in characters that UTF-8 can hold.

    A text that begins like a formula and is no number gets a leading apostrophe, which spreadsheets hide.
    """
    text = encodable(text).replace("\x00", "\\x00")
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
