"""`--mode=predict`: photo files in, the likeliest places of each out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from geosurge_jax.evaluation.evaluator import predict_places
from geosurge_jax.experiment import assembly, terminal
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.evaluate import restore_params
from geosurge_jax.experiment.experiment_config import ExperimentConfig, parse
from geosurge_jax.experiment.geography import load_geography
from geosurge_jax.experiment.workdir import open_trained
from geosurge_jax.input.bad_records import BadRecords
from geosurge_jax.input.files import file_batches
from geosurge_jax.serving.outputs import Prediction, write_csv, write_geojson

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def find_photos(paths: Sequence[Path]) -> list[Path]:
    """Photo files given by name, and those inside folders given by name, in order.

    Raises:
        ConfigError: nothing given, a path that does not exist, or a folder without photos.
    """
    photos: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
            if not inside:
                raise ConfigError(f"{path}: no photo here; expected {sorted(PHOTO_SUFFIXES)}")
            photos += inside
        elif path.is_file():
            photos.append(path)
        else:
            raise ConfigError(f"{path}: no such photo or folder")
    if not photos:
        raise ConfigError("--mode=predict: expected photos or folders as arguments")
    return photos


def find_maps(config: ExperimentConfig, photos: Sequence[Path]) -> list[Path | None]:
    """The class map of each photo, `NAME.png` in `config.evaluation.maps`; None where there is none."""
    if not config.evaluation.maps:
        return [None] * len(photos)
    folder = Path(config.evaluation.maps)
    if not folder.is_dir():
        raise ConfigError(f"config.evaluation.maps={config.evaluation.maps!r}: expected a folder")
    maps = [folder / f"{photo.stem}.png" for photo in photos]
    return [path if path.is_file() else None for path in maps]


def run(raw: Mapping[str, Any], root: Path, paths: Sequence[Path]) -> None:
    """Places photos with the workdir's checkpoint; writes `predictions.csv` and `.geojson` there.

    Where the first of `config.evaluation.decisions` is another than the likeliest place, its answer comes
    before the likeliest places, with rank 0.

    Raises:
        ValueError: one line that names what is missing or wrong.
    """
    config = parse(raw)
    photos = find_photos(paths)
    maps = find_maps(config, photos)
    workdir = open_trained(root, raw)
    model = assembly.make_model(config, load_geography(workdir))
    batches = file_batches(
        photos,
        assembly.views(config, model, config.evaluation.crops),
        segmentation_paths=maps,
        bad_records=BadRecords("photos", len(photos), max_fraction=1.0),
    )
    with jax.set_mesh(model.mesh):
        params, step = restore_params(config, workdir, model)
        prepared = assembly.prepare(
            config, model, params, lambda: assembly.open_run_dataset(config).split("train")
        )
        decided = config.evaluation.decisions[0] != "top"
        predictions = [
            Prediction(str(photos[index]), latlng, log_prob, answer if decided else None)
            for index, latlng, log_prob, answer in predict_places(
                model.evaluator, params, prepared, batches
            )
        ]
    if jax.process_index():
        return
    write_csv(workdir.root / "predictions.csv", predictions, "file")
    write_geojson(workdir.root / "predictions.geojson", predictions, "file")
    terminal.print_predictions(predictions, "file")
    mapped = sum(path is not None for path in maps)
    terminal.CONSOLE.print(
        f"{len(predictions)} of {len(photos)} photos placed ({mapped} with a class map) by the "
        f"checkpoint of step {step} -> "
        f"{workdir.root / 'predictions.csv'}, {workdir.root / 'predictions.geojson'}"
    )
