"""Exit codes of the `geosurge` command, and how errors become them."""

import enum
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from geosurge_jax.untrusted_text import printable


class ExitCode(enum.IntEnum):
    """What the command's exit code says."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SOME_FAILED = 3
    NO_MODEL = 4
    INTERRUPTED = 130


EXIT_CODES = """Exit codes:
  0    every image was answered
  1    unexpected error
  2    wrong usage
  3    some images failed; the results name them
  4    the model is not available
  130  interrupted"""


@contextmanager
def model_errors() -> Iterator[None]:
    """Turns errors of opening a model into one line and an exit code.

    A plain ValueError is about an option (2); every other error means that the model is not available (4).
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        code = ExitCode.USAGE if type(error) is ValueError else ExitCode.NO_MODEL
        raise fail(error, code) from error


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turns our own ValueErrors and errors of files into one line and exit code 2."""
    from geosurge_jax.experiment.failure import raised_by_us

    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError) or not (
            isinstance(error, OSError) or raised_by_us(error)
        ):
            raise
        raise fail(error, ExitCode.USAGE) from error


def fail(problem: object, code: ExitCode) -> typer.Exit:
    """Prints `error: ...` in one line; returns the exception that ends the command."""
    tell(f"error: {' '.join(str(problem).split())}")
    return typer.Exit(code)


def tell(text: str) -> None:
    """Prints a line for people on stderr."""
    print(printable(text), file=sys.stderr, flush=True)
