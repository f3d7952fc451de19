"""The door: python run.py --config=FILE.py[:variant] --workdir=DIR [--mode=...] [PHOTO ...]."""

import logging
import sys
from contextlib import ExitStack
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

MODES = ("train", "eval", "predict", "verify")

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file, optionally with :variant.", lock_config=True
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where the run lives: checkpoints, metrics, report.", required=True
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
    "train: train from where the workdir stands, evaluate, report. eval: score the workdir's checkpoint on "
    "config.evaluation.datasets. predict: place the photos given as arguments. verify: run the first --steps "
    "steps again and say whether the losses agree bit for bit.",
)
STEPS = flags.DEFINE_integer("steps", 100, "verify: how many steps to run again.", lower_bound=1)


def quiet_libraries() -> None:
    """Keeps the terminal for what this run says; `--verbosity` brings the libraries' logs back."""
    if not flags.FLAGS["verbosity"].present:
        absl_logging.set_verbosity(absl_logging.ERROR)
    for package in ("geosurge_jax", "data"):
        logging.getLogger(package).setLevel(logging.INFO)


def quiet_process(label: str) -> None:
    """Of several processes the first speaks for all; the others tell warnings and errors, with their name."""
    for package in ("geosurge_jax", "data"):
        logging.getLogger(package).setLevel(logging.WARNING)
    form = logging.Formatter(f"{label}%(levelname)s: %(message)s")
    absl_logging.get_absl_handler().setFormatter(form)


def main(arguments: list[str]) -> None:
    """Dispatches to a mode; errors of the user's making end in one line."""
    # Imported here so that --help answers at once.
    from geosurge_jax.experiment import evaluate, predict, terminal, train, verify
    from geosurge_jax.experiment.failure import one_line_errors
    from geosurge_jax.experiment.run_record import ask_for_determinism
    from geosurge_jax.experiment.workdir import check_started_alike, local_path
    from geosurge_jax.training import processes
    from geosurge_jax.training.watch import Timeouts

    quiet_libraries()
    config = CONFIG.value.to_dict()
    if config["deterministic"]:
        ask_for_determinism()
    with ExitStack() as run:
        run.enter_context(one_line_errors())
        given = processes.placement(COORDINATOR.value, PROCESSES.value, PROCESS.value)
        timeouts = Timeouts(initialization=START_TIMEOUT.value)
        label = run.enter_context(processes.together(given, timeouts))
        run.enter_context(one_line_errors(label))
        if not processes.is_first():
            quiet_process(label)
            terminal.CONSOLE.quiet = True
        workdir, photos = local_path("--workdir", WORKDIR.value), arguments[1:]
        command = {"--mode": MODE.value, "--workdir": WORKDIR.value, "PHOTO": photos}
        check_started_alike({"config": config, **command})
        if MODE.value == "train":
            train.run(config, workdir)
        elif MODE.value == "eval":
            evaluate.run(config, workdir)
        elif MODE.value == "verify":
            verify.run(config, workdir, STEPS.value)
        else:
            predict.run(config, workdir, [Path(photo) for photo in photos])


def parse_flags(arguments: list[str]) -> list[str]:
    """Parses the command line and loads the config; what is wrong with either ends in one line."""
    try:
        rest = flags.FLAGS(arguments)
        if CONFIG.value is None:
            raise flags.IllegalFlagValueError("--config is missing")
        CONFIG.value.to_dict()  # where the file could not be loaded, this says why
    except (flags.Error, AttributeError, OSError, TypeError, ValueError) as error:
        lines = [line.strip() for line in str(error).replace("\\n", "\n").splitlines()]
        # An error inside a config file comes with a traceback of which the last line is meant for us.
        kept = lines[-1:] if any(line.startswith("Traceback") for line in lines) else lines
        print(f"error: command line: {' '.join(filter(None, kept))}", file=sys.stderr)
        sys.exit(2)
    return rest


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
