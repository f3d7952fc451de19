"""A hierarchy on disk: one .npz, the same bytes for the same hierarchy.

The archive is written member by member rather than by `numpy.savez`, so that the bytes depend on
nothing but the arrays: members stored without compression, a fixed date, little-endian arrays. It
stays an ordinary .npz that `numpy.load` opens.
"""

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from geosurge_jax.geo.hierarchy import Hierarchy
from geosurge_jax.geo.partition import Partition

FORMAT = "geosurge_jax hierarchy"
VERSION = 1

_FIRST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Opens a file that takes the place of `path` when the block ends without an error.

    Whoever reads `path` meanwhile, or after a crash, finds the old content or the whole new one.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def save_hierarchy(path: str | os.PathLike, hierarchy: Hierarchy) -> None:
    """Writes `hierarchy` to `path`, atomically.

    Raises:
        OSError: the file cannot be written.
    """
    arrays = {"format": np.array(FORMAT), "version": np.array(VERSION, np.int64)}
    arrays["ancestors"] = hierarchy.ancestors
    for level, partition in enumerate(hierarchy.partitions):
        arrays[f"ids_{level}"] = partition.ids
        arrays[f"counts_{level}"] = partition.counts
        arrays[f"latlng_{level}"] = partition.latlng
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            _write_member(archive, name, array)


def load_hierarchy(path: str | os.PathLike) -> Hierarchy:
    """Reads what `save_hierarchy` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a hierarchy, is of another version, or is damaged; one line that
            names the file.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            arrays = {
                name.removesuffix(".npy"): _read_member(archive, name)
                for name in archive.namelist()
            }
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such hierarchy file") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a readable .npz ({error})") from error
    if "format" not in arrays or str(arrays["format"]) != FORMAT:
        raise ValueError(f"{path}: not a hierarchy, expected a member format = {FORMAT!r}")
    try:
        version = int(arrays["version"])
        if version != VERSION:
            raise ValueError(f"it is of version {version}, expected {VERSION}")
        partitions = tuple(
            Partition(arrays[f"ids_{level}"], arrays[f"counts_{level}"], arrays[f"latlng_{level}"])
            for level in range(arrays["ancestors"].shape[-1])
        )
        return Hierarchy(partitions, arrays["ancestors"])
    except KeyError as error:
        raise ValueError(f"{path}: not a usable hierarchy: member {error} is missing") from error
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{path}: not a usable hierarchy: {error}") from error


def _write_member(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    member = zipfile.ZipInfo(f"{name}.npy", _FIRST_ZIP_DATE)
    member.create_system = 3  # as written on Unix, on whatever system this runs
    member.external_attr = 0o644 << 16
    with archive.open(member, "w", force_zip64=True) as stream:
        little_endian = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        np.lib.format.write_array(stream, little_endian, version=(1, 0), allow_pickle=False)


def _read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
