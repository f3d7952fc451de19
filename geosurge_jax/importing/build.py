"""`tfds build` for the photo sets, where there is no TensorFlow.

    python -m data.build mp16 --manual_dir=MANUAL --data_dir=datasets

The command `tfds` imports all its subcommands, some of which need TensorFlow, whatever is asked for. This is
its `build` alone, flags and all. Beside TensorFlow `tfds build --imports=geosurge_jax.importing.builders
mp16 ...` is the same.
"""

import sys
from collections.abc import Sequence

from tensorflow_datasets.scripts.cli import build, cli_utils

from geosurge_jax.command_end import one_line_errors, plain_logging


@one_line_errors(resumes=True)
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    plain_logging()
    words = list(sys.argv[1:] if arguments is None else arguments)
    parse = cli_utils.make_flags_parser(build.Args, "tfds build, for the photo sets.")
    parse(["data.build", "--imports=geosurge_jax.importing.builders", *words]).execute()
