"""`geosurge embed`: images to vectors in a NumPy archive."""

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from geosurge_jax.command_end import ExitCode, NothingDoneError, tell
from geosurge_jax.geo import atomic_file
from geosurge_jax.serving.commands.progress import progress
from geosurge_jax.serving.images import readable_name
from geosurge_jax.serving.prediction import FailedPrediction
from geosurge_jax.serving.predictor import Predictor


def embed(
    predictor: Predictor, names: Sequence[str], out: Path, maps: Path | None = None
) -> ExitCode:
    """Writes the vectors of images as `vectors` float32 `[M, E]` and their names as `images` `[M]`.

    Images that cannot be read are named on stderr and left out. Vectors wait on disk, not in memory.

    Args:
        predictor: makes the vectors.
        names: image files.
        out: archive to write, `.npz`; appears whole or not at all.
        maps: folder of segmentation maps; None for none.

    Returns:
        The command's exit code.

    Raises:
        NothingDoneError: no image could be read; an earlier archive is kept.
        OSError: the archive cannot be written.
    """
    kept: list[str] = []
    width = 0
    with tempfile.TemporaryFile(dir=out.parent) as spool, progress(len(names)) as advance:
        found = predictor.embed(iter(names), segmentation_maps=maps)
        for name, vector in zip(names, found, strict=True):
            if isinstance(vector, FailedPrediction):
                tell(vector.error)
            else:
                kept.append(readable_name(name, 0))
                width = len(vector)
                spool.write(np.asarray(vector, "<f4").tobytes())
            advance()
        if not kept:
            raise NothingDoneError(
                f"{out}: not written, since none of {len(names):,} images could be read"
            )
        _write_archive(out, spool, (len(kept), width), kept)
    failed = len(names) - len(kept)
    tell(f"{len(kept):,} vectors of width {width} -> {out}")
    return ExitCode.SOME_FAILED if failed else ExitCode.OK


def _write_archive(
    out: Path, vectors: BinaryIO, shape: tuple[int, int], names: Sequence[str]
) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    vectors.seek(0)
    with atomic_file(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("vectors.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            shutil.copyfileobj(vectors, member)
        with archive.open("images.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.array(names, dtype=np.str_))
