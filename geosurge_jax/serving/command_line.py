"""Command line of a run: `--config=FILE.py[:variant] --workdir=DIR [--mode=...] [IMAGE or SENTENCE ...]`.

`run.py` and the modes of the `geosurge` command (`geosurge train`, ...) both start here.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

MODES = ("train", "eval", "predict", "query", "inspect", "export", "verify", "compile", "features")

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file, optionally with :variant.", lock_config=True
)
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Directory of the run: checkpoints, metrics, report; compile: where its reports go (workdir/compile).",
)
COORDINATOR = flags.DEFINE_string(
    "coordinator",
    None,
    "HOST:PORT of process 0, a free port there, where one run is several processes.",
)
PROCESSES = flags.DEFINE_integer("processes", None, "How many processes the run is.")
PROCESS = flags.DEFINE_integer("process", None, "Which of them this one is, from 0.")
START_TIMEOUT = flags.DEFINE_integer(
    "start_timeout",
    300,
    "Seconds to wait at the start for all processes to be there.",
    lower_bound=1,
)
MODE = flags.DEFINE_enum(
    "mode",
    "train",
    MODES,
    "train: train from where the workdir stands, evaluate, report; a league's config: all its runs and one "
    "report of them. eval: score the workdir's checkpoint on config.evaluation.datasets. predict: predict "
    "where the images given as arguments were taken. query: predict what places the sentences given as "
    "arguments describe, by --text_encoder. inspect: show what the config's dataset holds on one page. "
    "export: write the checkpoint in the --formats that other programs read. verify: run the first --steps "
    "steps again and report whether the losses agree bit for bit. compile: compile training step and "
    "posterior for --topology and report memory, cost and bounds; exits with 1 where they do not fit. "
    "features: run the frozen image encoder over the config's dataset once and store its features as a "
    "dataset that heads are trained on.",
)
STEPS = flags.DEFINE_integer("steps", 100, "verify: how many steps to run again.", lower_bound=1)
TEXT_ENCODER = flags.DEFINE_string(
    "text_encoder",
    "",
    "query: the CLIP whose image encoder the model has, a directory in Hugging Face's layout or hf:ORG/NAME.",
)
DTYPE = flags.DEFINE_enum(
    "dtype", "float32", ("float32", "bfloat16"), "export: type of the written parameters."
)
FORMATS = flags.DEFINE_list(
    "formats",
    ["safetensors", "orbax", "stablehlo"],
    "export: what is written, with commas between: safetensors, orbax, stablehlo, onnx, geoclip.",
)
TOPOLOGY = flags.DEFINE_string(
    "topology",
    "live",
    "compile: a TPU slice, as v5e:16x16, or live for the devices of this machine.",
)


def main(arguments: Sequence[str]) -> None:
    """Runs a command line and exits.

    Args:
        arguments: name of the program, then flags, images and sentences.
    """
    # --help shows the flags of the program that was started, which for absl are those of its own module.
    for flag in flags.FLAGS.flags_by_module_dict()[__name__]:
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(_run, argv=[*arguments], flags_parser=_parse_flags)


def _run(arguments: list[str]) -> None:
    # Imported here so that --help answers at once.
    from geosurge_jax.experiment import compile, start
    from geosurge_jax.experiment.workdir import local_path

    if not flags.FLAGS["verbosity"].present:
        # The terminal is for what this run says; --verbosity brings the libraries' logs back.
        absl_logging.set_verbosity(absl_logging.FATAL)
    config, rest = CONFIG.value.to_dict(), arguments[1:]
    place = (COORDINATOR.value, PROCESSES.value, PROCESS.value)
    elsewhere = MODE.value == "compile" and TOPOLOGY.value != compile.LIVE
    alike = (MODE, WORKDIR, STEPS, DTYPE, FORMATS, TOPOLOGY, TEXT_ENCODER)
    command = {f"--{flag.name}": flag.value for flag in alike} | {"arguments": rest}
    with start.started(config, command, place, START_TIMEOUT.value, alone=elsewhere):
        _dispatch(config, local_path("--workdir", WORKDIR.value or "workdir/compile"), rest)


def _dispatch(config: dict, workdir: Path, rest: list[str]) -> None:
    from geosurge_jax.experiment import (
        compile,
        evaluate,
        export,
        features,
        inspect,
        league,
        train,
        verify,
    )
    from geosurge_jax.serving import run_modes

    if MODE.value == "train":
        # A config of experiments is a league of runs, any other is a run.
        (league if "experiments" in config else train).run(config, workdir)
    elif MODE.value == "eval":
        evaluate.run(config, workdir)
    elif MODE.value == "features":
        features.run(config, workdir)
    elif MODE.value == "inspect":
        inspect.run(config, workdir)
    elif MODE.value == "export":
        export.run(config, workdir, DTYPE.value, FORMATS.value)
    elif MODE.value == "verify":
        verify.run(config, workdir, STEPS.value)
    elif MODE.value == "compile":
        compile.run(config, workdir, TOPOLOGY.value)
    elif MODE.value == "query":
        run_modes.query(config, workdir, TEXT_ENCODER.value, rest)
    else:
        run_modes.predict(config, workdir, [Path(image) for image in rest])


def _parse_flags(arguments: list[str]) -> list[str]:
    """Parses the command line and loads the config; errors in either end in one line."""
    try:
        rest = flags.FLAGS(arguments)
        if CONFIG.value is None:
            raise flags.IllegalFlagValueError("--config is missing")
        if WORKDIR.value is None and MODE.value != "compile":
            raise flags.IllegalFlagValueError("--workdir is missing")
        CONFIG.value.to_dict()  # where the file could not be loaded, this says why
    except (flags.Error, AttributeError, OSError, TypeError, ValueError) as error:
        lines = [line.strip() for line in str(error).replace("\\n", "\n").splitlines()]
        # An error inside a config file comes with a traceback of which the last line is meant for us.
        kept = lines[-1:] if any(line.startswith("Traceback") for line in lines) else lines
        print(f"error: command line: {' '.join(filter(None, kept))}", file=sys.stderr)
        sys.exit(2)
    return rest
