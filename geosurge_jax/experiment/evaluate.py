"""`--mode=eval`: score a workdir's checkpoint on named data sets and write the report."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from geosurge_jax.dataset.reader import Dataset, Split
from geosurge_jax.evaluation import scoring
from geosurge_jax.evaluation.curves import Curve
from geosurge_jax.evaluation.errors import level_accuracy
from geosurge_jax.evaluation.evaluator import ScoredPhotos
from geosurge_jax.evaluation.maps import draw_error_map
from geosurge_jax.evaluation.metrics import distance_protocol
from geosurge_jax.evaluation.report import ReportData, write_report
from geosurge_jax.evaluation.results import write_results
from geosurge_jax.evaluation.tables import accuracy_table
from geosurge_jax.experiment import assembly, datasets, terminal
from geosurge_jax.experiment.experiment_config import ExperimentConfig, parse
from geosurge_jax.experiment.feature_columns import check_features
from geosurge_jax.experiment.geography import load_geography
from geosurge_jax.experiment.open_run import open_run
from geosurge_jax.experiment.workdir import Workdir, open_trained
from geosurge_jax.input.evaluation import EvaluationBatches
from geosurge_jax.training.stopping import StopRequests, stop_requests
from geosurge_jax.training.writer import read_metrics

# Curves of the report, by the beginning of their names; the others are in metrics.jsonl and TensorBoard.
SHOWN_CURVES = ("train/loss", "validation/loss", "validation/accuracy/", "train/learning_rate")


def run(raw: Mapping[str, Any], root: Path) -> None:
    """Scores the workdir's checkpoint on `config.evaluation.datasets`.

    Raises:
        ValueError: one line that names what is missing or wrong.
    """
    config = parse(raw)
    workdir = open_trained(root, raw)
    dataset = assembly.open_run_dataset(config)
    model = assembly.make_model(config, load_geography(workdir))
    with stop_requests() as stop:
        evaluate_and_report(config, workdir, model, dataset, stop)


def evaluate_and_report(
    config: ExperimentConfig,
    workdir: Workdir,
    model: assembly.Model,
    dataset: Dataset,
    stop: StopRequests,
) -> None:
    """Scores every named data set, writes `scores.json` and the report, prints the table.

    Raises:
        StoppedError: the run was asked to stop.
    """
    with jax.set_mesh(model.mesh):
        scored, step = score(config, workdir, model, dataset, stop)
    if jax.process_index():
        return
    # Outside of the mesh: what the first process computes alone is not for the devices of the others.
    evaluation = config.evaluation
    scores = scoring.Scoring(
        evaluation, config.seed, model.hierarchy, dataset.split("train").latlng
    )
    results, levels, maps = {}, {}, {}
    for title, photos in scored.items():
        results[title] = scores.results(photos)
        answered = photos.errors[evaluation.decisions[0]]
        levels[title] = level_accuracy(answered, model.hierarchy).shares
        distance = answered.distance_km(distance_protocol(evaluation.protocol))
        maps[title] = draw_error_map(answered.truth, answered.prediction, distance, title)
    write_results(workdir.root / "scores.json", results)
    data = ReportData(
        title=config.name,
        config=dataclasses.asdict(config),
        results=results,
        description=(("checkpoint", f"step {step}"), *model.system.description),
        level_accuracy=levels,
        geocells=[len(partition.ids) for partition in model.hierarchy.partitions],
        curves=curves(workdir),
        maps=maps,
    )
    _, page = write_report(workdir.root, data)
    terminal.print_results(accuracy_table(results), workdir.root, page)


def batches_to_score(
    config: ExperimentConfig, model: assembly.Model, dataset: Dataset
) -> list[tuple[str, Split, EvaluationBatches]]:
    """Opens `config.evaluation.datasets`: title, photos, and batches of their crops, none of them made yet.

    Raises:
        ValueError: there is no such data set, or it does not have the crops that are asked for.
    """
    named = [datasets.open_named(name, dataset) for name in config.evaluation.datasets]
    crops = config.evaluation.crops
    return [
        (title, split, assembly.scoring_batches(config, model, split, crops))
        for title, split in named
    ]


def score(
    config: ExperimentConfig,
    workdir: Workdir,
    model: assembly.Model,
    dataset: Dataset,
    stop: StopRequests,
) -> tuple[dict[str, ScoredPhotos], int | None]:
    """Scores every named data set with all processes; returns the photos by title, and the checkpoint's step.

    Raises:
        StoppedError: the run was asked to stop.
    """
    opened = batches_to_score(config, model, dataset)
    trained = open_run(config, workdir, model)
    prepared = trained.precompute(trained.params)
    scored = {}
    for _, split, _ in opened:
        check_features(model.system, trained.params, split)
    for title, split, batches in opened:
        watched = stop.check(terminal.track(batches, f"scoring {title}"))
        scored[title] = model.evaluator.score(trained.params, prepared, watched, split.latlng)
    return scored, trained.provenance.step


def curves(workdir: Workdir) -> list[Curve]:
    """The curves that a report shows, from the run's metrics."""
    points: dict[str, list[tuple[int, float]]] = {}
    for row in read_metrics(workdir.root):
        for name, value in row.items():
            if name in SHOWN_CURVES or name.startswith("validation/accuracy/"):
                points.setdefault(name, []).append((int(row["step"]), value))
    return [
        Curve(name, [step for step, _ in pairs], [value for _, value in pairs])
        for name, pairs in points.items()
    ]
