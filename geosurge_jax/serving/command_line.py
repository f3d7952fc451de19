"""Command line of a run: `--config=FILE.py[:variant] --workdir=DIR [--mode=...] [IMAGE or SENTENCE ...]`.

`run.py` and the modes of the `geosurge` command (`geosurge train`, ...) both start here.
"""

import faulthandler
import functools
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import app, flags
from absl.logging import converter
from ml_collections import config_flags

from geosurge_jax.command_end import (
    ExitCode,
    end,
    interrupted_at_once,
    one_line_errors,
    plain_logging,
    version_text,
)
from geosurge_jax.serving.config_argument import check_config_arguments

MODES = ("train", "eval", "predict", "query", "inspect", "export", "verify", "compile", "features")
MODE_HELP = (
    "train: train from where the workdir stands, evaluate, report; a league's config: all its runs and "
    "one report of them. eval: score the workdir's checkpoint on config.evaluation.datasets. predict: "
    "predict where the images given as arguments were taken. query: predict what places the sentences "
    "given as arguments describe, by --text_encoder. inspect: show what the config's dataset holds on one "
    "page. export: write the checkpoint in the --formats that other programs read. verify: run the first "
    "--steps steps again and report whether the losses agree bit for bit. compile: compile training step "
    "and posterior for --topology and report memory, cost and bounds; exits with 1 where they do not fit. "
    "features: run the frozen image encoder over the config's dataset once and store its features as a "
    "dataset that heads are trained on."
)


@dataclass(frozen=True)
class RunFlags:
    """Flags of a command line, whose `value` is known once they are parsed."""

    config: flags.FlagHolder
    workdir: flags.FlagHolder
    coordinator: flags.FlagHolder
    processes: flags.FlagHolder
    process: flags.FlagHolder
    start_timeout: flags.FlagHolder
    mode: flags.FlagHolder
    steps: flags.FlagHolder
    text_encoder: flags.FlagHolder
    dtype: flags.FlagHolder
    formats: flags.FlagHolder
    topology: flags.FlagHolder


@functools.cache
def run_flags() -> RunFlags:
    """Defines the flags, once; not at import, so that a program that imports this file keeps its own."""
    return RunFlags(
        config=config_flags.DEFINE_config_file(
            "config", None, "Config file, optionally with :variant.", lock_config=True
        ),
        workdir=flags.DEFINE_string(
            "workdir",
            None,
            "Directory of the run: checkpoints, metrics, report; compile: where its reports go "
            "(workdir/compile).",
        ),
        coordinator=flags.DEFINE_string(
            "coordinator",
            None,
            "HOST:PORT of process 0, a free port there, where one run is several processes.",
        ),
        processes=flags.DEFINE_integer("processes", None, "How many processes the run is."),
        process=flags.DEFINE_integer("process", None, "Which of them this one is, from 0."),
        start_timeout=flags.DEFINE_integer(
            "start_timeout",
            300,
            "Seconds to wait at the start for all processes to be there.",
            lower_bound=1,
        ),
        mode=flags.DEFINE_enum(
            "mode",
            "train",
            MODES,
            MODE_HELP,
        ),
        steps=flags.DEFINE_integer(
            "steps", 100, "verify: how many steps to run again.", lower_bound=1
        ),
        text_encoder=flags.DEFINE_string(
            "text_encoder",
            "",
            "query: the CLIP whose image encoder the model has, a directory in Hugging Face's layout or "
            "hf:ORG/NAME.",
        ),
        dtype=flags.DEFINE_enum(
            "dtype", "float32", ("float32", "bfloat16"), "export: type of the written parameters."
        ),
        formats=flags.DEFINE_list(
            "formats",
            ["safetensors", "orbax", "stablehlo"],
            "export: what is written, with commas between: safetensors, orbax, stablehlo, onnx, geoclip.",
        ),
        topology=flags.DEFINE_string(
            "topology",
            "live",
            "compile: a TPU slice, as v5e:16x16, or live for the devices of this machine.",
        ),
    )


@one_line_errors()
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command line.

    Args:
        arguments: name of the program, then flags, images and sentences; None takes those of this process.
    """
    arguments = [*(sys.argv if arguments is None else arguments)]
    faulthandler.enable()
    run_flags()
    asked = arguments[1 : arguments.index("--") if "--" in arguments else None]
    if {"-h", "--help"} & {*asked}:
        # Without this, absl shows the flags of the module that was started alone.
        for flag in flags.FLAGS.flags_by_module_dict()[__name__]:
            flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
        app.usage(shorthelp=True, writeto_stdout=True, exitcode=0)
    if "--version" in asked:
        print(version_text())
        return
    _run(_parse_flags(arguments)[1:])


def _run(rest: list[str]) -> None:
    # Imported here so that --help answers at once.
    with interrupted_at_once():
        from geosurge_jax.experiment import compile, start
        from geosurge_jax.experiment.paths import local_path

    given = run_flags()
    _set_logging()
    config = given.config.value.to_dict()
    place = (given.coordinator.value, given.processes.value, given.process.value)
    elsewhere = given.mode.value == "compile" and given.topology.value != compile.LIVE
    alike = (
        given.mode,
        given.workdir,
        given.steps,
        given.dtype,
        given.formats,
        given.topology,
        given.text_encoder,
    )
    command = {f"--{flag.name}": flag.value for flag in alike} | {"arguments": rest}
    with start.started(config, command, place, given.start_timeout.value, alone=elsewhere):
        _dispatch(config, local_path("--workdir", given.workdir.value or "workdir/compile"), rest)


def _set_logging() -> None:
    """Shows this project's messages alone; `--verbosity` brings the libraries' logs and tracebacks back."""
    flag = flags.FLAGS["verbosity"]
    if not flag.present:
        plain_logging(libraries=logging.CRITICAL)
        return
    level = converter.absl_to_standard(flag.value)
    plain_logging(min(level, logging.INFO), level)


def _dispatch(config: dict, workdir: Path, rest: list[str]) -> None:
    with interrupted_at_once():
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

    given = run_flags()
    if given.mode.value == "train":
        # A config of experiments is a league of runs, any other is a run.
        (league if "experiments" in config else train).run(config, workdir)
    elif given.mode.value == "eval":
        evaluate.run(config, workdir)
    elif given.mode.value == "features":
        features.run(config, workdir)
    elif given.mode.value == "inspect":
        inspect.run(config, workdir)
    elif given.mode.value == "export":
        export.run(config, workdir, given.dtype.value, given.formats.value)
    elif given.mode.value == "verify":
        verify.run(config, workdir, given.steps.value)
    elif given.mode.value == "compile":
        compile.run(config, workdir, given.topology.value)
    elif given.mode.value == "query":
        run_modes.query(config, workdir, given.text_encoder.value, rest)
    else:
        run_modes.predict(config, workdir, [Path(image) for image in rest])


def _parse_flags(arguments: list[str]) -> list[str]:
    """Parses the command line and loads the config; errors in either end in one line."""
    given = run_flags()
    try:
        check_config_arguments(arguments[1:])
        rest = flags.FLAGS(arguments)
        if given.config.value is None:
            raise flags.IllegalFlagValueError("--config is missing")
        if given.workdir.value is None and given.mode.value != "compile":
            raise flags.IllegalFlagValueError("--workdir is missing")
        given.config.value.to_dict()  # where the file could not be loaded, this says why
    except (flags.Error, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        lines = [line.strip() for line in str(error).replace("\\n", "\n").splitlines()]
        # An error inside a config file comes with a traceback of which the last line is meant for us.
        kept = lines[-1:] if any(line.startswith("Traceback") for line in lines) else lines
        line = f"error: command line: {' '.join(filter(None, kept))}"
        raise end(line, ExitCode.USAGE) from error
    return rest
