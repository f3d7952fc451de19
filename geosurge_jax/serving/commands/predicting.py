"""`geosurge predict`: images to results on stdout, or by way of a journal to a file."""

import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geosurge_jax.command_end import ExitCode, NothingDoneError, tell
from geosurge_jax.input.image_files import account
from geosurge_jax.serving.commands.image_names import NamedImages
from geosurge_jax.serving.commands.progress import Advance, progress
from geosurge_jax.serving.exif_comparison import exif_error_km
from geosurge_jax.serving.formats import FORMATS, Record, write_file
from geosurge_jax.serving.images import readable_name
from geosurge_jax.serving.journal import journal_path, open_journal
from geosurge_jax.serving.prediction import Prediction
from geosurge_jax.serving.predictor import Predictor
from geosurge_jax.serving.sidecar import SidecarError, write_sidecar

EXIF_ERROR = "exif_error_km"


@dataclass(frozen=True)
class PredictJob:
    """What is asked of a Predictor.

    Attributes:
        images: image files, and what was skipped.
        form: name in `FORMATS`.
        top_k: candidates of each image.
        out: file for the results; None for stdout.
        resume: continue the journal of earlier work.
        maps: folder of segmentation maps; None for none.
        compare_exif: report the distance to the position in the image's EXIF.
        sidecar: write an XMP file beside each image.
        settings: options that decide the results, by name; values for JSON.
    """

    images: NamedImages
    form: str
    top_k: int
    out: Path | None
    resume: bool
    maps: Path | None
    compare_exif: bool
    sidecar: bool
    settings: Mapping[str, Any]


@dataclass
class Tally:
    """Counts over all images, those of resumed work included.

    Attributes:
        images: results.
        failed: images that could not be read.
        sidecars_kept: sidecars of other programs, which were not replaced.
        exif_errors_km: distances to positions in EXIF.
    """

    images: int = 0
    failed: int = 0
    sidecars_kept: int = 0
    exif_errors_km: list[float] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Counts one result."""
        self.images += 1
        self.failed += record["error"] is not None
        if record.get(EXIF_ERROR) is not None:
            self.exif_errors_km.append(record[EXIF_ERROR])


def predict(predictor: Predictor, job: PredictJob) -> ExitCode:
    """Predicts where images were taken and writes the results.

    Args:
        predictor: what answers.
        job: images and options.

    Returns:
        The command's exit code.

    Raises:
        JournalError: the journal beside the output file cannot be used; one line.
        NothingDoneError: no image was placed; an earlier output file is kept.
        OSError: a file cannot be written.
    """
    tally = Tally()
    try:
        if job.out is None:
            with progress(len(job.images.names)) as advance:
                FORMATS[job.form](
                    _results(predictor, job, job.images.names, tally, advance), sys.stdout
                )
        else:
            _to_file(predictor, job, job.out, tally)
    except KeyboardInterrupt:
        kept = f"; {tally.images:,} results are kept" if job.out else ""
        how = "; run the same command with --resume to continue" if job.out else ""
        tell(f"interrupted{kept}{how}")
        return ExitCode.INTERRUPTED
    _summarise(job, tally)
    if tally.failed == tally.images:
        raise NothingDoneError(f"none of {tally.images:,} images could be placed{_kept(job)}")
    failed = tally.failed or tally.sidecars_kept
    return ExitCode.SOME_FAILED if failed else ExitCode.OK


def _kept(job: PredictJob) -> str:
    return "" if job.out is None else f"; earlier results in {job.out} are kept"


def _to_file(predictor: Predictor, job: PredictJob, out: Path, tally: Tally) -> None:
    settings = {**job.settings, "training step": predictor.model.provenance.step}
    with open_journal(journal_path(out), settings, resume=job.resume) as journal:
        done = set()
        for record in journal.records():
            done.add(record["image"])
            tally.add(record)
        waiting = [name for name in job.images.names if readable_name(name, 0) not in done]
        if done:
            tell(f"resumed: {len(done):,} results are there, {len(waiting):,} images are left")
        with progress(len(done) + len(waiting), len(done)) as advance:
            for record in _results(predictor, job, waiting, tally, advance):
                journal.append(record)
        if tally.failed < tally.images or not out.exists():
            write_file(job.form, journal.records(), out)
        journal.remove()


def _results(
    predictor: Predictor, job: PredictJob, names: Sequence[str], tally: Tally, advance: Advance
) -> Iterator[Record]:
    """Yields the record of each image, in order, as soon as it is there."""
    outcomes = predictor.predict(iter(names), segmentation_maps=job.maps)
    for name, outcome in zip(names, outcomes, strict=True):
        record = outcome.to_dict(job.top_k)
        if isinstance(outcome, Prediction):
            if job.compare_exif:
                record[EXIF_ERROR] = _compared(name, outcome)
            if job.sidecar:
                tally.sidecars_kept += not _sidecar_written(name, outcome)
        yield record
        # Only now has the consumer kept it.
        tally.add(record)
        advance()


def _compared(name: str, prediction: Prediction) -> float | None:
    error = exif_error_km(Path(name), prediction)
    if error is not None:
        tell(f"{prediction.image}: {error:,.1f} km from its EXIF position")
    return error


def _sidecar_written(name: str, prediction: Prediction) -> bool:
    try:
        write_sidecar(Path(name), prediction)
    except (SidecarError, OSError) as error:
        tell(f"sidecar not written: {error}")
        return False
    return True


def _summarise(job: PredictJob, tally: Tally) -> None:
    if job.compare_exif:
        errors = tally.exif_errors_km
        median = f", median error {statistics.median(errors):,.1f} km" if errors else ""
        tell(f"{len(errors):,} of {tally.images:,} images carry an EXIF position{median}")
    failed = +Counter({"unreadable": tally.failed})
    line = account("placed", tally.images - tally.failed, failed, job.images.skipped)
    written = job.out is not None and tally.failed < tally.images
    tell(f"{line} -> {job.out}" if written else line)
