"""Exit codes of the `geosurge` command: those of `geosurge_jax.command_end`, and errors of models."""

from collections.abc import Iterator
from contextlib import contextmanager

from geosurge_jax.command_end import CommandEnd, ExitCode, end

EXIT_CODES = """Exit codes:
  0    every image was answered
  1    no image was placed, or the work failed; earlier results are kept
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


def fail(problem: object, code: ExitCode) -> CommandEnd:
    """Prints `error: ...` in one line; returns the exception that ends the command."""
    return end(f"error: {' '.join(str(problem).split())}", code)
