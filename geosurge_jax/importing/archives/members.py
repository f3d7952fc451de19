"""What all archives hold their members to, whatever their shape: sizes, and one-line problems."""

from geosurge_jax.importing.archives.contract import Member
from geosurge_jax.importing.file_names import plain
from geosurge_jax.input.image_files import MAX_FILE_BYTES


def size_problem(size: int) -> str:
    """What is wrong with the size of a photo in bytes, empty = nothing."""
    if size > MAX_FILE_BYTES:
        return f"too large file: {size} bytes, expected at most {MAX_FILE_BYTES}"
    return "" if size > 0 else "empty file: no bytes"


def problem_member(name: str, where: str, problem: str) -> Member:
    """A member that is nothing but a problem; its id is fit to be written as UTF-8."""
    encodable = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return Member(encodable, b"", where, {}, problem)


def error_text(error: BaseException) -> str:
    """What an exception says, in one line."""
    said = error.strerror if isinstance(error, OSError) else str(error)
    return plain(said or type(error).__name__)
