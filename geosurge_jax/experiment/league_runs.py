"""The runs of a league: what is kept of one that finished, and what is measured of it."""

import dataclasses
import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from geosurge_jax.experiment import assembly
from geosurge_jax.experiment.experiment_config import ExperimentConfig, parse
from geosurge_jax.experiment.geography import load_geography
from geosurge_jax.experiment.open_run import open_run
from geosurge_jax.experiment.trained_model import TrainedModel
from geosurge_jax.experiment.workdir import open_trained, write_json
from geosurge_jax.training.parameters import parameter_table, split_frozen
from geosurge_jax.training.writer import read_metrics

RECORD = "league-run.json"
_TIMED_CALLS = 5


@dataclass(frozen=True)
class Facts:
    """What a run costs.

    Attributes:
        trained: parameters.
        frozen: parameters.
        forward_flops: analytic, of a photo's posterior.
        training_flops: analytic, of a photo in a training step.
        training_photos_per_second: median over the logged intervals, compilation left out.
        posterior_photos_per_second: posterior and answer of a batch that lies on the device; median.
    """

    trained: int
    frozen: int
    forward_flops: int
    training_flops: int
    training_photos_per_second: float
    posterior_photos_per_second: float


@dataclass(frozen=True)
class Finished:
    """A run with its results.

    Attributes:
        name: of the experiment.
        seed: of the run.
        scores: the content of `scores.json`, by data set.
        facts: what it costs.
    """

    name: str
    seed: int
    scores: Mapping[str, Any]
    facts: Facts


@dataclass(frozen=True)
class Failed:
    """A run that ended in an error.

    Attributes:
        name: of the experiment.
        seed: of the run.
        error: one line.
    """

    name: str
    seed: int
    error: str


Run = Finished | Failed


def record_finished(directory: Path, raw: Mapping[str, Any], facts: Facts) -> None:
    """Notes that the run of a config has finished; the last file that a run of a league writes."""
    write_json(directory / RECORD, {"config": dict(raw), "facts": dataclasses.asdict(facts)})


def read_finished(name: str, seed: int, directory: Path, raw: Mapping[str, Any]) -> Finished | None:
    """The finished run of this config in a directory; None where it has yet to run, or to run on."""
    record, scores = directory / RECORD, directory / "scores.json"
    if not record.exists() or not scores.exists():
        return None
    noted = json.loads(record.read_text())
    if noted["config"] != json.loads(json.dumps(raw)):
        return None
    return Finished(name, seed, json.loads(scores.read_text()), Facts(**noted["facts"]))


def measure(raw: Mapping[str, Any], directory: Path) -> Facts:
    """Counts and times a finished run, on this machine as it is now."""
    config = parse(raw)
    workdir = open_trained(directory, raw)
    model = assembly.make_model(config, load_geography(workdir))
    trained = open_run(config, workdir, model)
    total = parameter_table(*split_frozen(trained.params, model.system.frozen_rules))[-1]
    with jax.set_mesh(model.mesh):
        rate = posterior_rate(config, model, trained)
    rates = [
        row["train/photos_per_second"] for row in read_metrics(directory) if "train/loss" in row
    ]
    return Facts(
        trained=total.trained,
        frozen=total.frozen,
        forward_flops=model.system.flops.forward,
        training_flops=model.system.flops.training,
        training_photos_per_second=float(np.median(rates[1:] or rates)),
        posterior_photos_per_second=rate,
    )


def posterior_rate(config: ExperimentConfig, model: assembly.Model, trained: TrainedModel) -> float:
    """Images a second from a batch on the device to its coordinates."""
    dataset = assembly.open_run_dataset(config)
    params, prepared = trained.params, trained.precompute(trained.params)
    batches: Any = iter(
        assembly.scoring_batches(config, model, dataset.split("validation"), crops=1)
    )
    with closing(batches):
        batch = model.evaluator.put(next(batches))
    jax.block_until_ready(model.evaluator.predict(params, prepared, batch))
    times = []
    for _ in range(_TIMED_CALLS):
        began = time.perf_counter()
        jax.block_until_ready(model.evaluator.predict(params, prepared, batch))
        times.append(time.perf_counter() - began)
    return config.evaluation.batch_size / float(np.median(times))
