"""Several processes as one run: how they find each other, agree, wait for each other and end together.

JAX does the work: its coordination service on process 0 connects the processes, and its collectives move
the arrays. Here stands when it is started, how long anybody waits, and what is agreed outside of arrays:
who makes a file, and that all were started alike. `geosurge_jax.training.watch` ends all when one is lost.
"""

import importlib.util
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

# The coordination service has no public door; Orbax comes in here too.
from jax._src import distributed

from geosurge_jax.command_end import ExitCode
from geosurge_jax.training.stopping import EXIT_CODES
from geosurge_jax.training.watch import Timeouts, Watch, end_now

# Waiting ends when the work is done or the watch ends it, never by the clock.
_A_DAY_MS = 24 * 3600 * 1000


class ProcessesError(ValueError):
    """The processes of a run cannot come together, or were not started alike; one line."""


@dataclass(frozen=True)
class Placement:
    """Where a process belongs, given by hand.

    Attributes:
        coordinator: HOST:PORT of process 0, a free port there that all others reach.
        processes: how many there are.
        process: which one this is, from 0.
    """

    coordinator: str
    processes: int
    process: int

    def __post_init__(self) -> None:
        """Raises ProcessesError, naming the flag, where a value makes no sense."""
        if not re.fullmatch(r".+:\d+", self.coordinator):
            raise ProcessesError(f"--coordinator={self.coordinator}: expected HOST:PORT")
        if self.processes < 1:
            raise ProcessesError(f"--processes={self.processes}: expected 1 or more")
        if not 0 <= self.process < self.processes:
            raise ProcessesError(f"--process={self.process}: expected 0 to {self.processes - 1}")


def placement(
    coordinator: str | None, processes: int | None, process: int | None
) -> Placement | None:
    """The three flags as one; None where none is given.

    Raises:
        ProcessesError: some of them are given, or a value makes no sense.
    """
    if coordinator is None and processes is None and process is None:
        return None
    if coordinator is None or processes is None or process is None:
        raise ProcessesError("--coordinator, --processes, --process: expected all three or none")
    return Placement(coordinator, processes, process)


def launcher(variables: Mapping[str, str], devices: Path = Path("/dev")) -> str | None:
    """What started this process as one of several, by JAX's name for it; None for a single process.

    Args:
        variables: the environment.
        devices: where device files lie.

    Returns:
        "ompi", "slurm", "tpu" or None.

    Raises:
        ProcessesError: an Open MPI that JAX cannot ask.
    """
    if int(variables.get("OMPI_COMM_WORLD_SIZE", "1")) > 1:
        if "OMPI_MCA_orte_hnp_uri" not in variables:
            raise ProcessesError(
                "OMPI_COMM_WORLD_SIZE: Open MPI 5 and newer do not say where process 0 is; expected "
                "--coordinator=HOST:PORT --processes=$OMPI_COMM_WORLD_SIZE --process=$OMPI_COMM_WORLD_RANK"
            )
        return "ompi"
    # The last of these is set by srun alone: a script under sbatch itself is a single process.
    step = ("SLURM_JOB_ID", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST")
    if int(variables.get("SLURM_NTASKS", "1")) > 1 and all(name in variables for name in step):
        return "slurm"
    return "tpu" if _on_tpu_pod(variables, devices) else None


def _on_tpu_pod(variables: Mapping[str, str], devices: Path) -> bool:
    """Whether TPUs are here and may be part of a slice of several hosts."""
    platforms = variables.get("JAX_PLATFORMS", "")
    chips = [*devices.glob("accel[0-9]*"), *devices.glob("vfio/[0-9]*")]
    if (platforms and "tpu" not in platforms.split(",")) or not chips:
        return False
    if importlib.util.find_spec("libtpu") is None:
        return False
    hosts = variables.get("TPU_PROCESS_ADDRESSES") or variables.get("TPU_WORKER_HOSTNAMES")
    if hosts:  # on GKE the hosts of the slice; the slices multiply
        return len(hosts.split(",")) * int(variables.get("MEGASCALE_NUM_SLICES", "1")) > 1
    # On a Cloud TPU VM the metadata server knows. JAX asks it, and finds a single host alone too. Where JAX
    # found no TPU on the bus it has set this variable, and the device files are of something else.
    return "TPU_SKIP_MDS_QUERY" not in variables


def join(given: Placement | None, timeouts: Timeouts) -> Watch | None:
    """Connects the processes of the run; call it before anything that uses a device.

    Args:
        given: by hand, which goes before what the environment says; a single process stays alone.
        timeouts: how long to wait.

    Returns:
        The watch over the others, running; None where there are no others.

    Raises:
        ProcessesError: the environment promises other processes that JAX cannot find.
    """
    found = None if given else launcher(os.environ)
    if found is None and (given is None or given.processes == 1):
        return None
    who = f"process {given.process} of {given.processes}: " if given else ""
    where = f" at {given.coordinator}" if given else ""
    # JAX would end the process by an abort in C++; this is a little earlier and says it in one line.
    alarm = threading.Timer(
        timeouts.initialization,
        end_now,
        (
            1,
            f"{who}not all processes of the run met{where} within {timeouts.initialization} s "
            "(--start_timeout): see that each is started, with the same --coordinator and --processes, "
            "and that the port of process 0 is open to the others",
        ),
    )
    alarm.daemon = True
    alarm.start()
    try:
        jax.distributed.initialize(
            **_addresses(given, found),
            initialization_timeout=timeouts.initialization + 30,
            heartbeat_timeout_seconds=timeouts.heartbeat,
            shutdown_timeout_seconds=timeouts.shutdown,
        )
    except Exception as error:  # whatever a launcher's variables or a metadata server lead to
        raise ProcessesError(
            f"{who}the processes of the run cannot be connected ({' '.join(str(error).split())}); "
            "--coordinator, --processes and --process say by hand where they are"
        ) from error
    finally:
        alarm.cancel()
    state = distributed.global_state
    if state.num_processes == 1:
        return None
    return Watch(state.client, state.process_id, state.num_processes, timeouts)


def _addresses(given: Placement | None, found: str | None) -> dict[str, Any]:
    if given is None:
        # There are several kinds of TPU pods; JAX tells them apart.
        return {"cluster_detection_method": None if found == "tpu" else found}
    return {
        "coordinator_address": given.coordinator,
        "num_processes": given.processes,
        "process_id": given.process,
        "cluster_detection_method": "deactivate",
    }


@contextmanager
def together(given: Placement | None, timeouts: Timeouts) -> Iterator[str]:
    """Runs the body as one of several processes that all end when one does.

    Where the body ends by an exception, or by an exit code that is neither 0, nor that of a run that was
    asked to stop, nor that of a result some of whose inputs failed, all other processes end too, and this
    one ends inside of here.

    Args:
        given: see `join`.
        timeouts: see `join`.

    Yields:
        "process 1 of 2: " to put before messages; "" for a single process.

    Raises:
        ProcessesError: see `join`.
    """
    watch = join(given, timeouts)
    if watch is None:
        yield ""
        return
    leaving = None
    try:
        jax.devices()  # all processes have to be here: the devices are made known to each other
        try:
            yield f"{watch.name}: "
        except SystemExit as asked:
            if asked.code not in (None, 0, ExitCode.SOME_FAILED, *EXIT_CODES.values()):
                raise
            leaving = asked
        barrier("the end")
    except BaseException as error:
        watch.fail(error)
    watch.stop()
    jax.distributed.shutdown()
    if leaving is not None:
        raise leaving


def is_first() -> bool:
    """Whether this is the process that speaks and writes for all; asks no device."""
    return distributed.global_state.process_id == 0


def barrier(name: str) -> None:
    """Waits until all processes are here; `name` is used once in a run."""
    client = distributed.global_state.client
    if client is not None:
        client.wait_at_barrier(f"geosurge/{name}", _A_DAY_MS)


def from_first(name: str, make: Callable[[], str]) -> str:
    """What process 0 makes, on all processes; the others wait for it.

    Args:
        name: used once in a run.
        make: called on process 0 alone.
    """
    client = distributed.global_state.client
    if client is None:
        return make()
    if is_first():
        made = make()
        client.key_value_set(f"geosurge/made/{name}", made)
        return made
    return client.blocking_key_value_get(f"geosurge/made/{name}", _A_DAY_MS)


def check_alike(name: str, value: str, message: str) -> None:
    """Raises ProcessesError with `message` on processes whose value is not that of process 0."""
    if from_first(name, lambda: value) != value:
        raise ProcessesError(message)
