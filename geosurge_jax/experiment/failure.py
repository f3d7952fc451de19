"""Errors of the user's making end a run in one line; faults of the code keep their traceback."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geosurge_jax.training.stopping import StoppedError

LOG = logging.getLogger("geosurge_jax")
PACKAGE = Path(__file__).resolve().parents[1]
OWN_FOLDERS = (PACKAGE, PACKAGE.parent / "data", PACKAGE.parent / "configs")


class NegativeAnswer(RuntimeError):
    """What a mode was asked to find out turned out to be not so; the process exits with 1."""


def raised_by_us(error: BaseException) -> bool:
    """Whether the line that raised is ours: a check that was written for a person to read."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(
        Path(frames[-1].filename).resolve().is_relative_to(folder) for folder in OWN_FOLDERS
    )


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Prints our own errors as `error: ...` and exits with 2, or with 1 for a `NegativeAnswer`.

    A run that was asked to stop says so and exits with the code of `StoppedError`. `--verbosity=1` shows the
    traceback too.
    """
    try:
        yield
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    except (ValueError, RuntimeError, OSError) as error:
        if not raised_by_us(error):
            raise
        LOG.debug("where it was raised", exc_info=True)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1 if isinstance(error, NegativeAnswer) else 2)
