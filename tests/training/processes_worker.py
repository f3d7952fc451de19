"""One of several small processes, run by test_processes.py: HOST:PORT PROCESSES PROCESS SCENARIO."""

import os
import signal
import sys
import time

import jax
import numpy as np

from geosurge_jax.training import processes
from geosurge_jax.training.mesh import MeshConfig, make_mesh, process_rows, put_batch
from geosurge_jax.training.watch import Timeouts

QUICK = Timeouts(initialization=30, beat=0.2, lost=3.0, lost_after_failure=1.0, heartbeat=10)


def say(line: str) -> None:
    """Leaves the standard output to Gloo."""
    print(line, file=sys.stderr, flush=True)


def agree(process: int) -> None:
    """Says what process 0 made, and fails on the process that is unlike it."""
    say(processes.from_first("word", lambda: f"made by {process}"))
    processes.check_alike("same", "value", "never said")
    processes.barrier("before the difference")
    processes.check_alike("other", f"value {process}", "value: differs from that of process 0")


def rows(process: int) -> None:
    """Puts batches by the rows of meshes in several orders of devices; every row has to arrive."""
    devices = np.array(jax.devices())
    for order in ("as they are", "reversed", "interleaved"):
        if order == "reversed":
            devices = devices[::-1]
        elif order == "interleaved":
            devices = devices.reshape(2, -1).T.ravel()
        mesh = jax.sharding.Mesh(devices.reshape(1, 2, 2), ("data", "fsdp", "model"))
        own = process_rows(mesh, 8)
        array = put_batch(mesh, {"row": own.astype(np.int32)})["row"]
        total = jax.jit(lambda x: (x * (10 ** jax.numpy.arange(8))).sum())(array)
        say(f"{order} {own.tolist()} {array.shape} {int(total)}")


def stuck(process: int, end) -> None:
    """Process 1 ends in some way while process 0 waits for a sum with it."""
    mesh = make_mesh(MeshConfig(-1, 1, 1))
    total = jax.jit(lambda x: x.sum())
    for number in range(100_000):
        if number == 20 and process == 1:
            end()
        float(total(put_batch(mesh, {"x": np.ones(4, np.float32)})["x"]))


def main() -> None:
    """Runs a scenario as a process of several."""
    coordinator, count, process, scenario = sys.argv[1:]
    placement = processes.placement(coordinator, int(count), int(process))
    with processes.together(placement, QUICK) as label:
        number = int(process)
        if scenario == "agree":
            agree(number)
        elif scenario == "rows":
            rows(number)
        elif scenario == "raise":
            stuck(number, lambda: {}["nothing here"])
        elif scenario == "killed":
            stuck(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
        elif scenario == "frozen":
            stuck(number, lambda: os.kill(os.getpid(), signal.SIGSTOP))
        elif scenario == "coordinator killed":
            stuck(1 - number, lambda: os.kill(os.getpid(), signal.SIGKILL))
        say(f"{label}done")
        if scenario == "rows":
            time.sleep(0.5 * number)
            sys.exit(75)


if __name__ == "__main__":
    main()
