"""Names of files and archive members: what is wrong with them, and how they stand in messages."""

from pathlib import PurePosixPath

from geosurge_jax.untrusted_text import encodable

_SHOWN = 120  # characters in a message


def plain(text: str) -> str:
    """Returns text of unknown origin as it may stand in a message: one line of plain ASCII, not long."""
    text = encodable(text)
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return short.encode("unicode_escape").decode("ascii").replace("\\\\x", "\\x")


def shown(name: str) -> str:
    """Returns a name of unknown origin, quoted, for a message."""
    return f"'{plain(name)}'"


def decoded_name(name: bytes) -> str:
    """Returns a name as text; bytes that are not UTF-8 become lone surrogates (see `text_problem`)."""
    return name.decode("utf-8", "surrogateescape")


def text_problem(name: str) -> str:
    """Returns why a name or an id cannot be stored as text, empty = it can."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return f"unsafe name: {shown(name)} is not UTF-8"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return f"unsafe name: {shown(name)} has control characters"
    return ""


def name_problem(name: str) -> str:
    """Returns what is wrong with a path, empty = nothing. Nothing is unpacked, but ids come from names."""
    problem = text_problem(name)
    if problem:
        return problem
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or path.parts[:1] and path.parts[0].endswith(":"):
        return f"unsafe name: {shown(name)} is absolute"
    if ".." in path.parts:
        return f"unsafe name: {shown(name)} leads out of the archive"
    return "" if path.parts else "unsafe name: it is empty"
