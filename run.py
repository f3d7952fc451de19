"""The door: python run.py --config=FILE.py[:variant] --workdir=DIR [--mode=...] [PHOTO ...]."""

import logging
import sys
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

MODES = ("train", "eval", "predict")

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file, optionally with :variant.", lock_config=True
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where the run lives: checkpoints, metrics, report.", required=True
)
MODE = flags.DEFINE_enum(
    "mode",
    "train",
    MODES,
    "train: train from where the workdir stands, evaluate, report. eval: score the workdir's checkpoint on "
    "config.evaluation.datasets. predict: place the photos given as arguments.",
)


def quiet_libraries() -> None:
    """Keeps the terminal for what this run says; `--verbosity` brings the libraries' logs back."""
    if not flags.FLAGS["verbosity"].present:
        absl_logging.set_verbosity(absl_logging.ERROR)
    logging.getLogger("geosurge_jax").setLevel(logging.INFO)


def main(arguments: list[str]) -> None:
    """Dispatches to a mode; errors of the user's making end in one line."""
    # Imported here so that --help answers at once.
    from geosurge_jax.experiment import evaluate, predict, train
    from geosurge_jax.experiment.failure import one_line_errors

    quiet_libraries()
    with one_line_errors():
        config, workdir = CONFIG.value.to_dict(), Path(WORKDIR.value)
        if MODE.value == "train":
            train.run(config, workdir)
        elif MODE.value == "eval":
            evaluate.run(config, workdir)
        else:
            predict.run(config, workdir, [Path(photo) for photo in arguments[1:]])


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    app.run(main)
