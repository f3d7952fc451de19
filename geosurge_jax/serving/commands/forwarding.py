"""Modes of run.py as subcommands: their arguments are passed on as they are."""

import os
import sys

import typer

from geosurge_jax.serving.commands.help_text import forwarded_epilog

MODES = {
    "train": "Train a system, evaluate it and write a report.",
    "eval": "Score a checkpoint of a run.",
    "features": "Store the features of a frozen image encoder as a dataset.",
    "inspect": "Show a dataset on one page.",
    "export": "Write a checkpoint for other programs.",
    "verify": "Run the first steps again and compare bit for bit.",
    "compile": "Compile the training step for a topology and report memory and cost.",
}


def add_run_modes(app: typer.Typer) -> None:
    """Adds a subcommand for each of `MODES`."""
    for mode, summary in MODES.items():
        _add(app, mode, summary)


def _add(app: typer.Typer, mode: str, summary: str) -> None:
    """Adds a subcommand that is a mode of run.py."""

    def run(context: typer.Context) -> None:
        from geosurge_jax.serving import command_line

        # Config files import the ones beside them, as for `python run.py` in the same folder.
        sys.path.insert(0, os.getcwd())
        command_line.main([f"geosurge {mode}", f"--mode={mode}", *context.args])

    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    text = f"{summary} Takes the flags of run.py --mode={mode}."
    app.command(mode, help=text, epilog=forwarded_epilog(mode), context_settings=settings)(run)
