"""`--mode=predict` and `--mode=query` of a run: its checkpoint answers through a `Predictor`."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from geosurge_jax.command_end import NothingDoneError, SomeFailed
from geosurge_jax.experiment import terminal
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.experiment_config import ExperimentConfig, parse
from geosurge_jax.experiment.open_run import open_run
from geosurge_jax.experiment.workdir import Workdir, open_trained
from geosurge_jax.input.image_files import account, list_images
from geosurge_jax.serving.formats import FORMATS, records, write_file
from geosurge_jax.serving.images import map_of
from geosurge_jax.serving.journal import Journal, journal_path, open_journal
from geosurge_jax.serving.prediction import Outcome
from geosurge_jax.serving.predictor import Predictor

FILE_FORMATS = ("csv", "geojson")


def predict(raw: Mapping[str, Any], root: Path, paths: Sequence[Path]) -> None:
    """Predicts where images were taken; writes `predictions.csv` and `predictions.geojson` in the workdir.

    With several processes each of them computes its part of every batch, and process 0 writes.

    Args:
        raw: the config file's mapping.
        root: the workdir.
        paths: image files and folders.

    Raises:
        ValueError: one line that names what is missing or wrong.
        NothingDoneError: no image was placed; earlier results are kept.
        SomeFailed: some images could not be read; their rows hold the errors.
        CheckpointError: no sound checkpoint.
        OSError: a file cannot be written.
    """
    config = parse(raw)
    maps = _segmentation_maps(config)
    images, skipped = find_images(paths, maps)
    workdir = open_trained(root, raw)
    predictor = _predictor(config, workdir)
    outcomes = predictor.predict(terminal.track(images, "predicting"), segmentation_maps=maps)
    placed = _write(workdir, "predictions", outcomes, config.evaluation.top_k)
    mapped = sum(map_of(image, maps) is not None for image in images)
    failed = Counter({"unreadable": len(images) - placed})
    terminal.say(account("placed", placed, +failed, skipped))
    terminal.say(
        f"{placed} of {len(images)} images placed ({mapped} with a segmentation map) by the checkpoint of "
        f"step {predictor.model.provenance.step} -> {_written(workdir, 'predictions')}"
    )
    _check_placed(placed, len(images), "images")


def query(raw: Mapping[str, Any], root: Path, text_encoder: str, sentences: Sequence[str]) -> None:
    """Predicts what places sentences describe; writes `queries.csv` and `queries.geojson` in the workdir.

    Args:
        raw: the config file's mapping; its system has a common space with texts.
        root: the workdir.
        text_encoder: the CLIP whose image encoder the system began with, a directory or "hf:ORG/NAME".
        sentences: what is asked.

    Raises:
        ValueError: one line that names what is missing or does not fit.
        NothingDoneError: no sentence was placed; earlier results are kept.
        SomeFailed: some sentences were not placed.
        CheckpointError: no sound checkpoint.
        OSError: a file cannot be written.
    """
    config = parse(raw)
    if not sentences:
        raise ConfigError("--mode=query: expected sentences as arguments")
    if not text_encoder:
        raise ConfigError(
            "--text_encoder: missing; expected the CLIP whose image encoder the model has"
        )
    workdir = open_trained(root, raw)
    predictor = _predictor(config, workdir, text_encoder)
    outcomes = predictor.query([*sentences])
    placed = _write(workdir, "queries", outcomes, config.evaluation.top_k)
    terminal.say(
        f"{placed} sentences placed by the checkpoint of step {predictor.model.provenance.step} -> "
        f"{_written(workdir, 'queries')}"
    )
    _check_placed(placed, len(sentences), "sentences")


def find_images(paths: Sequence[Path], maps: Path | None = None) -> tuple[list[Path], Counter[str]]:
    """Returns image files given by name and those inside folders given by name, in order.

    Args:
        paths: files and folders.
        maps: folder of segmentation maps, which are no images; None = none.

    Returns:
        The images, and how many files of the folders were skipped for each reason.

    Raises:
        ConfigError: nothing given, a path that does not exist, or a folder without images.
    """
    images: dict[Path, None] = {}
    skipped: Counter[str] = Counter()
    for path in paths:
        if path.is_dir():
            listing = list_images(path, leave_out=maps)
            skipped += listing.reasons
            if not listing.images:
                line = account("placed", 0, {}, listing.reasons)
                raise ConfigError(
                    f"{path}: no image here ({line}); expected .jpg, .png, .heic, ..."
                )
            images |= dict.fromkeys(path / name for name in listing.images)
        elif path.is_file():
            images[path] = None
        else:
            raise ConfigError(f"{path}: no such image or folder")
    if not images:
        raise ConfigError("--mode=predict: expected images or folders as arguments")
    return [*images], skipped


def _segmentation_maps(config: ExperimentConfig) -> Path | None:
    if not config.evaluation.maps:
        return None
    folder = Path(config.evaluation.maps)
    if not folder.is_dir():
        raise ConfigError(f"config.evaluation.maps={config.evaluation.maps!r}: expected a folder")
    return folder


def _predictor(config: ExperimentConfig, workdir: Workdir, text_encoder: str = "") -> Predictor:
    return Predictor(
        open_run(config, workdir),
        views=config.evaluation.crops,
        batch_size=config.evaluation.batch_size,
        text_encoder=text_encoder,
    )


def _write(workdir: Workdir, name: str, outcomes: Iterable[Outcome], k: int) -> int:
    """Writes outcomes on process 0, prints the table, and returns how many were placed.

    Where none was, files of earlier results stay as they are.
    """
    if jax.process_index():
        return sum(outcome.error is None for outcome in outcomes)
    path = journal_path(workdir.root / name)
    # Results lie in a journal until all are there, since each is written in several formats.
    with open_journal(path, {}, resume=False, replace=True) as journal:
        placed = _collect(journal, outcomes, k)
        for form in FILE_FORMATS:
            file = workdir.root / f"{name}.{form}"
            if placed or not file.exists():
                write_file(form, journal.records(), file)
        FORMATS["table"](_most_likely(journal), sys.stdout)
        journal.remove()
    return placed


def _collect(journal: Journal, outcomes: Iterable[Outcome], k: int) -> int:
    placed = 0
    for record in records(outcomes, k):
        journal.append(record)
        placed += record["error"] is None
    return placed


def _most_likely(journal: Journal) -> Iterable[Mapping[str, Any]]:
    """The records with one candidate each, so that the table has a line or two an image."""
    for record in journal.records():
        yield (
            {**record, "candidates": record["candidates"][:1]} if "candidates" in record else record
        )


def _written(workdir: Workdir, name: str) -> str:
    return ", ".join(str(workdir.root / f"{name}.{form}") for form in FILE_FORMATS)


def _check_placed(placed: int, asked: int, what: str) -> None:
    if not placed:
        raise NothingDoneError(
            f"none of {asked} {what} could be placed; files of earlier results are kept"
        )
    if placed < asked:
        partly = SomeFailed(
            f"{asked - placed} of {asked} {what} failed; their rows hold the errors"
        )
        partly.speaks = jax.process_index() == 0
        raise partly
