"""What all archives hold their members to, whatever their shape: names, sizes, and one-line problems."""

from pathlib import PurePosixPath

from geosurge_jax.importing.archives.contract import MAX_MEMBER_BYTES, Member
from geosurge_jax.importing.folder_rows import PHOTO_SUFFIXES

_SHOWN = 120  # characters in a message


def plain(text: str) -> str:
    """Text of unknown origin as it may stand in a message: one line of plain ASCII, not long."""
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")[1:-1]


def shown(name: str) -> str:
    """A name of unknown origin, quoted, for a message."""
    return f"'{plain(name)}'"


def decoded_name(name: bytes) -> str:
    """A name as text; bytes that are not UTF-8 become lone surrogates, which `name_problem` refuses."""
    return name.decode("utf-8", "surrogateescape")


def is_photo_name(name: str) -> bool:
    """Whether a name ends like that of a photo and no part of it is hidden (macOS leaves `._NAME.jpg`)."""
    if not name.lower().endswith(PHOTO_SUFFIXES):
        return False
    parts = name.replace("\\", "/").split("/")
    return not any(part[:1] == "." and part not in (".", "..") for part in parts)


def name_problem(name: str) -> str:
    """What is wrong with a member's name, empty = nothing. Nothing is unpacked, but ids come from names."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return f"unsafe name: {shown(name)} is not UTF-8"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return f"unsafe name: {shown(name)} has control characters"
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or path.parts[:1] and path.parts[0].endswith(":"):
        return f"unsafe name: {shown(name)} is absolute"
    if ".." in path.parts:
        return f"unsafe name: {shown(name)} leads out of the archive"
    return "" if path.parts else "unsafe name: it is empty"


def size_problem(size: int) -> str:
    """What is wrong with the size of a photo in bytes, empty = nothing."""
    if size > MAX_MEMBER_BYTES:
        return f"too large file: {size} bytes, expected at most {MAX_MEMBER_BYTES}"
    return "" if size > 0 else "empty file: no bytes"


def problem_member(name: str, where: str, problem: str) -> Member:
    """A member that is nothing but a problem; its id is fit to be written as UTF-8."""
    encodable = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return Member(encodable, b"", where, {}, problem)


def error_text(error: BaseException) -> str:
    """What an exception says, in one line."""
    said = error.strerror if isinstance(error, OSError) else str(error)
    return plain(said or type(error).__name__)
