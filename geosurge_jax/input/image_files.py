"""Which files below a folder are images, and why the others are skipped: one rule for all commands."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geosurge_jax.dataset.ade20k import CLASSES
from geosurge_jax.dataset.manifest import MANIFEST_FILE
from geosurge_jax.dataset.record import UNKNOWN_CLASS
from geosurge_jax.input.image_formats import is_image_name, without_suffix
from geosurge_jax.input.images import ImageDecodeError, decode_class_map
from geosurge_jax.untrusted_text import printable

# Folders and files that systems leave behind: thumbnails of a NAS, resource forks, recycle bins.
_SYSTEM_NAMES = {
    *("__macosx", "@eadir", "#recycle", "@recycle", "$recycle.bin", "thumbs.db", "desktop.ini"),
    *("icon\r", "lost+found", "system volume information"),
}
RUN_FILE = "run.json"
MAX_FILE_BYTES = 64 * 2**20
"""A larger file is no photo but a mistake or an attack, and is not read."""

_HIDDEN, _SYSTEM, _MAP = "hidden", "system file", "segmentation map"
_GRAY_PNG = (b"\x08\x00", b"\x08\x03")  # bit depth 8; gray or palette
_LONGEST_SUFFIX = 12


@dataclass(frozen=True)
class Listing:
    """The files below a folder.

    Attributes:
        images: paths of images, relative to the folder, with "/" between their parts; the files of a folder
            stand before those of its subfolders, both sorted by name. Bytes that are not UTF-8 are lone
            surrogates, as `os.fsdecode` makes them.
        skipped: path of every other file or folder that was not entered -> reason.
    """

    images: tuple[str, ...]
    skipped: Mapping[str, str]

    @property
    def reasons(self) -> Counter[str]:
        """How many files were skipped for each reason."""
        return Counter(self.skipped.values())


def list_images(folder: Path, leave_out: Path | None = None) -> Listing:
    """Lists the images below a folder.

    Hidden files, leftovers of systems, directories of runs and datasets, and segmentation maps that lie
    beside their images are no images. Links to folders are not followed.

    Args:
        folder: an existing folder.
        leave_out: a folder that is not entered, such as one of segmentation maps.
    """
    images: list[str] = []
    skipped: dict[str, str] = {}
    for path, reason in _walk(os.fspath(folder), "", leave_out):
        if reason:
            skipped[path] = reason
        else:
            images.append(path)
    for path in _segmentation_maps(folder, images):  # maps in a folder of their own
        skipped[path] = _MAP
    return Listing(tuple(path for path in images if path not in skipped), skipped)


def skip_reason(name: str) -> str:
    """Returns why a file or folder of this name is not looked at: hidden or of a system; empty = it is.

    Args:
        name: a single name, or a path with slashes or backslashes between its parts.
    """
    for part in name.replace("\\", "/").split("/"):
        if part.startswith(".") and part not in (".", ".."):
            return _HIDDEN
        if part.lower() in _SYSTEM_NAMES:
            return _SYSTEM
    return ""


def file_skip_reason(name: str) -> str:
    """Returns why a file of this name is no image: hidden, of a system, or its suffix; empty = it is one."""
    reason = skip_reason(name)
    if reason or is_image_name(name):
        return reason
    _, suffix = os.path.splitext(name)
    shown = len(suffix) <= _LONGEST_SUFFIX and suffix.isascii() and suffix.isprintable()
    return suffix.lower() if suffix and shown else "other files"


def folder_skip_reason(path: str) -> str:
    """Returns why an existing folder is not entered, empty = it is."""
    reason = skip_reason(os.path.basename(path))
    if not reason and os.path.isfile(os.path.join(path, RUN_FILE)):
        return "run directory"
    if not reason and os.path.isfile(os.path.join(path, MANIFEST_FILE)):
        return "dataset directory"
    return reason


@dataclass(frozen=True)
class FolderListing:
    """The entries of one folder.

    Attributes:
        images: sorted names of images, also of pipes and broken links, which are rejected when they are read.
        folders: sorted names of subfolders to be entered.
        skipped: name of every other entry -> reason.
    """

    images: tuple[str, ...]
    folders: tuple[str, ...]
    skipped: Mapping[str, str]


def list_folder(path: str) -> FolderListing:
    """Lists one folder without its subfolders; see `list_images`.

    Raises:
        OSError: the folder cannot be read.
    """
    with os.scandir(path) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    images, folders, skipped = [], [], {}
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            reason, kept = folder_skip_reason(entry.path), folders
        else:
            reason, kept = file_skip_reason(entry.name), images
            if _is_link_to_folder(entry):
                reason = "link to a folder"
        if reason:
            skipped[entry.name] = reason
        else:
            kept.append(entry.name)
    for name in _segmentation_maps(Path(path), images):
        skipped[name] = _MAP
    return FolderListing(
        tuple(name for name in images if name not in skipped), tuple(folders), skipped
    )


def read_image_file(path: Path) -> bytes:
    """Reads a file that is to be decoded.

    Raises:
        ImageDecodeError: it is no regular file (opening a pipe would wait for a writer), or too large.
        OSError: it cannot be read.
        ValueError: its name holds a NUL byte.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ImageDecodeError("not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise ImageDecodeError(f"{status.st_size} bytes, expected at most {MAX_FILE_BYTES}")
    return path.read_bytes()


def account(done: str, number: int, rejected: Mapping[str, int], skipped: Mapping[str, int]) -> str:
    """Returns the closing line of a command: every file that was seen, and what became of it.

    Args:
        done: what was done with the good ones, such as "stored".
        number: how many that were.
        rejected: reason -> number of files.
        skipped: reason -> number of files.
    """
    failed, left = sum(rejected.values()), sum(skipped.values())
    return (
        f"{number + failed + left:,} files seen: {number:,} {done}, {failed:,} rejected{_listed(rejected)}, "
        f"{left:,} skipped{_listed(skipped)}"
    )


def _listed(reasons: Mapping[str, int]) -> str:
    counts = Counter(reasons).most_common()
    return (
        f" ({', '.join(f'{count:,} {printable(reason)}' for reason, count in counts)})"
        if counts
        else ""
    )


def _walk(root: str, inside: str, leave_out: Path | None) -> Iterator[tuple[str, str]]:
    """Yields path and reason of each file below a folder; an empty reason stands for an image."""
    try:
        listing = list_folder(os.path.join(root, inside))
    except OSError as error:
        yield inside or ".", f"unreadable folder ({error.strerror})"
        return
    prefix = f"{inside}/" if inside else ""
    for name in listing.images:
        yield prefix + name, ""
    for name, reason in listing.skipped.items():
        yield prefix + name, reason
    for name in listing.folders:
        full = os.path.join(root, prefix + name)
        if leave_out is not None and os.path.realpath(full) == os.path.realpath(leave_out):
            yield prefix + name, "folder of segmentation maps"
        else:
            yield from _walk(root, prefix + name, leave_out)


def _is_link_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _segmentation_maps(folder: Path, images: list[str]) -> Iterator[str]:
    """Yields the images that are class maps of other images of the same name, `a.png` beside `a.jpg`."""
    stems = Counter(_stem(path) for path in images)
    for path in images:
        if path.lower().endswith(".png") and stems[_stem(path)] > 1 and is_class_map(folder / path):
            yield path


def _stem(path: str) -> str:
    return without_suffix(path.rpartition("/")[2])


def is_class_map(path: Path) -> bool:
    """Returns whether a file is a PNG of one channel that holds ADE20K's classes and 255 alone."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(26)
            if not head.startswith(b"\x89PNG") or head[24:26] not in _GRAY_PNG:
                return False
            classes = np.unique(decode_class_map(head + file.read()))
    except (OSError, ImageDecodeError):
        return False
    return bool(np.all((classes < len(CLASSES)) | (classes == UNKNOWN_CLASS)))
