"""`--mode=compile`: what a run needs and how fast it can be, from the compiler, before a chip is there."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from geosurge_jax.command_end import NegativeAnswer
from geosurge_jax.compilation.chips import chip_of
from geosurge_jax.compilation.rendering import as_markdown, as_text
from geosurge_jax.compilation.report import CompileReport, Setting, compile_and_report
from geosurge_jax.compilation.topology import tpu_devices
from geosurge_jax.dataset.record import SCENE_COUNTS
from geosurge_jax.experiment import assembly, terminal
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.experiment_config import ExperimentConfig, parse
from geosurge_jax.experiment.geography import load_geography, planned_geography
from geosurge_jax.experiment.workdir import Workdir, write_text
from geosurge_jax.systems.contract import Prepared
from geosurge_jax.training.layout import layout_report
from geosurge_jax.training.mesh import batch_sharding
from geosurge_jax.training.state import TrainState

LIVE = "live"


class DoesNotFitError(NegativeAnswer):
    """A program needs more memory than a chip has."""


def run(raw: Mapping[str, Any], root: Path, topology: str) -> None:
    """Compiles training step and posterior of a config, prints and writes the reports.

    Geocells are the workdir's where it has some, otherwise as many as `config.geocells.planned_cells` says.

    Args:
        raw: the config file's mapping.
        root: gets `compile-TOPOLOGY.md` and `.json`.
        topology: a TPU slice, as "v5e:16x16", or "live" for the devices of this machine.

    Raises:
        ValueError: one line that names what does not go together, and the key.
        DoesNotFitError: named programs need more memory than a chip has; the reports are written.
    """
    config = parse(raw)
    if topology != LIVE:
        # Nothing runs on the slice; what the compiler folds is computed here.
        jax.config.update("jax_platforms", "cpu")
    devices = jax.devices() if topology == LIVE else tpu_devices(topology)
    workdir = Workdir(root.resolve())
    geography = load_geography(workdir) if workdir.geocells.exists() else planned_geography(config)
    model = assembly.make_model(config, geography, devices)
    # Lengths decide the schedule alone.
    plan = assembly.plan_training(config, model, total_steps=1000, steps_per_epoch=1000)
    layout = layout_report(plan.state.layout, model.mesh)
    print(layout)
    reports = []
    for name, lower, photos, flops in programs(config, model, plan):
        terminal.CONSOLE.print(f"compiling the {name} for {topology} ...")
        began = time.perf_counter()
        with jax.set_mesh(model.mesh):
            lowered = lower()
            mesh = dict(model.mesh.shape)
            setting = Setting(name, topology, chip_of(devices[0]), mesh, photos, flops)
            reports.append(compile_and_report(lowered, setting, time.perf_counter() - began))
        print(as_text(reports[-1]))
    write_reports(root, topology, config.name, reports, layout)
    too_large = [report.setting.name for report in reports if report.fits is False]
    if too_large:
        raise DoesNotFitError(
            f"--topology={topology}: {' and '.join(too_large)} of {config.name} need more memory than a "
            f"chip has; raise config.mesh.fsdp, lower the batch sizes, or take a larger slice"
        )


def programs(
    config: ExperimentConfig, model: assembly.Model, plan: assembly.TrainingPlan
) -> tuple[tuple[str, Callable[[], jax.stages.Lowered], int, float], ...]:
    """What a run compiles: name, function that lowers it, photos in a run, analytic FLOPs of a run."""
    state, flops = plan.state.abstract, model.system.flops
    trained, scored = config.training.batch_size, config.evaluation.batch_size
    crops, predict = config.evaluation.crops, jax.jit(model.evaluator.predict)
    batch, views = batch_shapes(config, model), batch_shapes(config, model, crops=crops)
    return (
        ("training step", lambda: plan.step.lower(state, batch), trained, trained * flops.training),
        (
            "posterior",
            lambda: predict.lower(state.evaluation_params(), prepared_shapes(model, state), views),
            scored,
            scored * crops * flops.forward,
        ),
    )


def prepared_shapes(model: assembly.Model, state: TrainState) -> Prepared:
    """Shapes of what the posterior needs beside a photo.

    Raises:
        ConfigError: the system needs an index of training photos, whose size no plan says.
    """
    if model.system.index_rows is not None:
        raise ConfigError(
            f"config.system_name={model.system.name!r}: --mode=compile does not know this system, whose "
            "posterior needs an index of all training photos"
        )
    return jax.eval_shape(model.system.prepare, state.evaluation_params(), {})


def batch_shapes(
    config: ExperimentConfig, model: assembly.Model, crops: int = 0
) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of a batch as `input` makes it: of training, or with crops of evaluation."""
    size = model.system.preprocessing.image_size
    photos = config.evaluation.batch_size if crops else config.training.batch_size
    views = (crops,) if crops else ()
    targets = model.system.targets(np.zeros((1, 2)))
    shapes = {
        "image": ((*views, size, size, 3), np.uint8),
        "segmentation": ((*views, size, size), np.uint8),
        "latlng": ((2,), np.float32),
        "index": ((), np.int32),
        "mask": ((), np.float32),
        "scene": ((len(SCENE_COUNTS),), np.int32),
        **{name: (value.shape[1:], value.dtype) for name, value in targets.items()},
    }
    sharding = batch_sharding(model.mesh)
    return {
        name: jax.ShapeDtypeStruct((photos, *shape), dtype, sharding=sharding)
        for name, (shape, dtype) in shapes.items()
    }


def write_reports(
    root: Path, topology: str, title: str, reports: list[CompileReport], layout: str
) -> None:
    """Writes the reports as Markdown and as JSON, and says where."""
    stem = f"compile-{topology.replace(':', '-')}"
    body = "\n".join(as_markdown(report) for report in reports)
    write_text(root / f"{stem}.md", f"## {title}\n\n{body}\n```\n{layout}```\n")
    fields = ",\n".join(report.to_json() for report in reports)
    write_text(root / f"{stem}.json", f"[{fields}]\n")
    terminal.say(f"reports: {root / stem}.md, .json")
