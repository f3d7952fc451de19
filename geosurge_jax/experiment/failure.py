"""Errors of the user's making end a run in one line; faults of the code keep their traceback."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jax.errors import JaxRuntimeError

from geosurge_jax.training.processes import is_first
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
def one_line_errors(label: str = "") -> Iterator[None]:
    """Prints our own errors as `error: ...` and exits with 2, or with 1 for a `NegativeAnswer`.

    A run that was asked to stop says so and exits with the code of `StoppedError`. `--verbosity=1` shows the
    traceback too.

    Args:
        label: put before the message: which process of several this is.
    """
    try:
        yield
    except StoppedError as stopped:
        if is_first():  # all processes stop
            print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    except (ValueError, RuntimeError, OSError) as error:
        # JAX hides its own frames, so that what failed in the runtime seems to come from our line.
        if isinstance(error, JaxRuntimeError) or not raised_by_us(error):
            raise
        LOG.debug("where it was raised", exc_info=True)
        print(f"error: {label}{error}", file=sys.stderr)
        raise SystemExit(1 if isinstance(error, NegativeAnswer) else 2) from error
