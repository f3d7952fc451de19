"""Starts each process of a run: sets compiler flags, finds the other processes, lets the first one speak."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from geosurge_jax.command_end import one_line_errors
from geosurge_jax.experiment import terminal
from geosurge_jax.experiment.run_record import ask_for_determinism
from geosurge_jax.experiment.workdir import check_started_alike
from geosurge_jax.training import processes
from geosurge_jax.training.watch import Timeouts


@contextmanager
def started(
    config: Mapping[str, Any],
    command: Mapping[str, Any],
    place: Sequence[Any],
    start_timeout: int,
    *,
    alone: bool,
) -> Iterator[None]:
    """Runs the body as one of the processes of a run; each names itself in its errors.

    Args:
        config: the config file's mapping.
        command: flags that must be the same on all processes.
        place: values of --coordinator, --processes and --process.
        start_timeout: seconds to wait for all processes to be there.
        alone: use no device of this machine and look for no other process.
    """
    if config["deterministic"]:
        ask_for_determinism()
    with ExitStack() as stack:
        if alone:
            yield
            return
        given = processes.placement(*place)
        timeouts = Timeouts(initialization=start_timeout)
        label = stack.enter_context(processes.together(given, timeouts))
        stack.enter_context(one_line_errors(label))
        if not processes.is_first():
            only_warnings(label)
        check_started_alike({"config": config, **command})
        yield


def only_warnings(label: str) -> None:
    """Lets this process print warnings and errors alone, with its name; the first process prints the rest."""
    terminal.CONSOLE.quiet = terminal.RESULTS.quiet = True
    logging.getLogger("geosurge_jax").setLevel(logging.WARNING)
    form = logging.Formatter(f"{label}%(levelname)s: %(message)s")
    for handler in logging.root.handlers:
        handler.setFormatter(form)
