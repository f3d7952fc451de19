"""`--mode=verify`: run the first steps again and say whether the losses agree bit for bit."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import jax

from geosurge_jax.command_end import NegativeAnswer
from geosurge_jax.experiment import assembly, terminal, train
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import load_geography
from geosurge_jax.experiment.run_record import describe_run
from geosurge_jax.experiment.workdir import Workdir, claim, open_for_training
from geosurge_jax.training.loop import means
from geosurge_jax.training.writer import read_metrics

TIMES = ("train/learning_rate", "train/photos_per_second")


class BitsDifferError(NegativeAnswer):
    """The steps that were run again do not agree with the run's metrics."""


def run(raw: Mapping[str, Any], root: Path, steps: int) -> None:
    """Trains from the beginning again, beside the run, and compares with its `metrics.jsonl`.

    Writes nothing.

    Args:
        raw: the config file's mapping.
        root: the workdir of the run.
        steps: how many steps to run again.

    Raises:
        ConfigError: no run in the workdir, another config, or nothing logged within so many steps.
        BitsDifferError: names the first metric that differs, with both values.
    """
    config = parse(raw)
    workdir = open_for_training(root, raw)
    recorded = recorded_metrics(workdir, steps)
    dataset = assembly.open_run_dataset(config)
    split = dataset.split("train")
    model = assembly.make_model(config, load_geography(workdir))
    claim(workdir, describe_run(raw, dataset, model.mesh))
    epoch = assembly.steps_per_epoch(config, split)
    total = config.training.total_steps(epoch)
    with jax.set_mesh(model.mesh):
        plan = assembly.plan_training(config, model, total, epoch)
        state = train.create_state(config, model, plan)
        with closing(train.open_batches(config, model, split)) as batches:
            for step in terminal.track(range(1, max(recorded) + 1), "running again"):
                state, sums = plan.step(state, model.evaluator.put(next(batches)))
                if step in recorded:
                    compare(step, recorded[step], means(sums))
    terminal.say(
        f"steps 1 to {max(recorded)}: all {len(recorded)} logged lines of metrics agree bit for bit "
        f"with {workdir.root / 'metrics.jsonl'}"
    )


def recorded_metrics(workdir: Workdir, steps: int) -> dict[int, dict[str, float]]:
    """What the run logged of its first `steps` training steps, by step."""
    if not workdir.record.exists():
        raise ConfigError(
            f"--workdir={workdir.root}: no run here (run.json is missing); train first"
        )
    recorded = {
        int(row["step"]): {
            name.removeprefix("train/"): value
            for name, value in row.items()
            if name.startswith("train/") and name not in TIMES
        }
        for row in read_metrics(workdir.root)
        if "train/loss" in row and row["step"] <= steps
    }
    if not recorded:
        raise ConfigError(
            f"--steps={steps}: nothing was logged within so many steps in {workdir.root / 'metrics.jsonl'} "
            f"(config.training.log_every)"
        )
    return recorded


def compare(step: int, recorded: Mapping[str, float], now: Mapping[str, float]) -> None:
    """Raises BitsDifferError unless all metrics of a step are the same numbers."""
    for name in sorted({*recorded, *now}):
        if recorded.get(name) != now.get(name):
            raise BitsDifferError(
                f"step {step}: train/{name} is {now.get(name)!r} now and was {recorded.get(name)!r} in "
                f"the run; the bits differ"
            )
