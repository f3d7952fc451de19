"""Exit codes of all commands, and errors in one line.

`run.py`, the `geosurge` command and all `python -m data.*` start in `run_command` or wrap their work in
`one_line_errors`. This file imports nothing heavy, so that `--version` and Ctrl-C are answered at once.
"""

import enum
import importlib
import logging
import os
import platform
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from geosurge_jax import __version__
from geosurge_jax.untrusted_text import printable

LOG = logging.getLogger("geosurge_jax")
PACKAGE = Path(__file__).resolve().parent
OWN_NAMES = ("geosurge_jax", "data", "configs")
OWN_FOLDERS = tuple(PACKAGE.parent / name for name in OWN_NAMES)
# Libraries whose versions decide results.
LIBRARIES = ("jax", "jaxlib", "flax", "numpy")
_JAX_BACKENDS = "xla_bridge.py"  # the file of JAX that looks for accelerators


class ExitCode(enum.IntEnum):
    """Exit codes of all commands. A run that SIGTERM stopped ends with 75, see `training.stopping`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    NO_MODEL = 4
    INTERRUPTED = 130


class NothingDoneError(ValueError):
    """No result was produced: nothing placed, nothing written. The command exits with 1."""


class NegativeAnswer(RuntimeError):
    """The answer to a check, such as `--mode=verify`, is no. The command exits with 1."""


class StoppedCommand(Exception):
    """Base class of exceptions with a message that is no error, and an exit code of their own.

    Attributes:
        exit_code: what the process exits with.
        speaks: whether this process prints the message; of several, one does.
    """

    exit_code: int = ExitCode.INTERRUPTED
    speaks = True


class SomeFailed(StoppedCommand):
    """Some inputs failed, and the results name them. The command exits with 3."""

    exit_code = ExitCode.SOME_FAILED


class CommandEnd(SystemExit):
    """Ends the process with `code`; the line that says why is printed already."""

    def __init__(self, line: str, code: int):
        """Keeps the printed line as the exception's text."""
        super().__init__(line)
        self.code = int(code)


def end(line: str, code: int) -> CommandEnd:
    """Prints a line on stderr and returns the exception that ends the command."""
    tell(line)
    return CommandEnd(line, code)


def tell(text: str) -> None:
    """Prints a line for people on stderr."""
    print(_printable_lines(text), file=sys.stderr, flush=True)


def _printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.splitlines())


def raised_by_us(error: BaseException) -> bool:
    """Return whether a line of this project raised `error`, so that its message is for a person to read."""
    if type(error).__module__.partition(".")[0] not in ("builtins", *OWN_NAMES):
        # JAX hides its own frames, so that its errors seem to come from our line.
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(
        Path(frames[-1].filename).resolve().is_relative_to(folder) for folder in OWN_FOLDERS
    )


@contextmanager
def one_line_errors(label: str = "", *, resumes: bool = False) -> Iterator[None]:
    """Turns errors that a person can act on into one line on stderr and an exit code.

    Our own errors print `error: ...`. A `ValueError` is about a flag, a config key or an input and exits with
    2, and so does a missing file. `NothingDoneError`, other errors of ours and errors of the operating system
    exit with 1. Faults of the code keep their traceback. `--verbosity=1` of run.py shows every traceback.

    Args:
        label: put before the message; names one of several processes.
        resumes: whether the same command continues interrupted work.

    Raises:
        CommandEnd: the line is printed.
    """
    try:
        yield
    except StoppedCommand as stopped:
        if not stopped.speaks:
            raise CommandEnd(str(stopped), stopped.exit_code) from stopped
        raise end(str(stopped), stopped.exit_code) from stopped
    except KeyboardInterrupt as error:
        kept = "; finished work is kept, the same command continues it" if resumes else ""
        raise end(f"{label}interrupted{kept}", ExitCode.INTERRUPTED) from error
    except BrokenPipeError as error:
        # The reader of our output, `head` for example, has gone. Python must not flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CommandEnd("broken pipe", ExitCode.FAILED) from error
    except (ValueError, RuntimeError, OSError, AssertionError) as error:
        line = _line(error)
        if line is None:
            raise
        LOG.debug("where it was raised", exc_info=True)
        usage = isinstance(error, ValueError | FileNotFoundError)
        wrong = usage and not isinstance(error, NothingDoneError)
        raise end(f"error: {label}{line}", ExitCode.USAGE if wrong else ExitCode.FAILED) from error


def _line(error: Exception) -> str | None:
    """Return the message for a person; None for a fault of the code."""
    frames = traceback.extract_tb(error.__traceback__)
    if frames and Path(frames[-1].filename).name == _JAX_BACKENDS:
        reason = f" ({str(error).splitlines()[0]})" if str(error) else ""
        return (
            f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: this accelerator is not available "
            f"here{reason}; expected one that this machine and the installed JAX have, or JAX_PLATFORMS=cpu"
        )
    if isinstance(error, AssertionError):
        return None
    if raised_by_us(error) or (isinstance(error, OSError) and error.errno is not None):
        return str(error)
    return None


class _PlainFormatter(logging.Formatter):
    """The message alone; names of files in it cannot control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return _printable_lines(super().format(record))


def plain_logging(level: int = logging.INFO, libraries: int = logging.ERROR) -> None:
    """Sends logs to stderr as plain sentences.

    Args:
        level: lowest level of this project's messages.
        libraries: lowest level of all other messages.
    """
    for handler in [*logging.root.handlers]:
        # absl's writes `I1127 12:00:00 folder.py:157]`, Python's default one `INFO:geosurge_jax...:`.
        if type(handler) is logging.StreamHandler or type(handler).__module__.startswith("absl."):
            logging.root.removeHandler(handler)
    ours = logging.StreamHandler()
    ours.setFormatter(_PlainFormatter())
    logging.root.addHandler(ours)
    logging.root.setLevel(libraries)
    logging.getLogger("absl").setLevel(libraries)  # has a level of its own
    LOG.setLevel(level)


def version_text() -> str:
    """Return the versions that decide results, one a line; initialises no device."""
    lines = [f"geosurge_jax {__version__}", f"python {platform.python_version()}"]
    return "\n".join([*lines, *(f"{name} {metadata.version(name)}" for name in LIBRARIES)])


@contextmanager
def interrupted_at_once() -> Iterator[None]:
    """Lets Ctrl-C end the process in the middle of the block, in which nothing is written.

    Libraries that are being imported catch `KeyboardInterrupt` here and there, and the command would go on.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def leave(*_: object) -> None:
        tell("interrupted")
        os._exit(ExitCode.INTERRUPTED)

    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run_command(module: str) -> None:
    """Runs `main()` of a module as the command of this process.

    Importing the module is part of the command, so that Ctrl-C while it loads ends in one line too.

    Args:
        module: its full name.
    """
    with one_line_errors():
        if sys.argv[1:] == ["--version"]:
            print(version_text())
            return
        with interrupted_at_once():
            main = importlib.import_module(module).main
        main()
