import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jax._src.clusters import OmpiCluster, SlurmCluster

from geosurge_jax.training import processes
from geosurge_jax.training.processes import Placement, ProcessesError, launcher, placement

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "start all processes again: the run goes on from its last checkpoint"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Pair:
    """Two processes of two simulated devices each, in a scenario of `processes_worker.py`."""

    def __init__(self, scenario, tmp_path):
        flags = "--xla_force_host_platform_device_count=2"
        environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
        address, self.outputs = f"127.0.0.1:{free_port()}", [tmp_path / "0", tmp_path / "1"]
        worker = Path(__file__).with_name("processes_worker.py")
        self.processes = []
        for number, output in enumerate(self.outputs):
            command = [sys.executable, worker, address, "2", str(number), scenario]
            with output.open("w") as file:
                # Gloo tells on the standard output who is connected, in between whatever stands there.
                started = subprocess.Popen(
                    command, env=environment, stdout=subprocess.DEVNULL, stderr=file
                )
            self.processes.append(started)

    def codes(self):
        return [process.wait(timeout=60) for process in self.processes]

    def errors(self, number):
        """The lines of a process that are ours; those of a witness come a moment after the end."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            lines = self.outputs[number].read_text().splitlines()
            found = [line for line in lines if line.startswith("error: ")]
            if found:
                return found
            time.sleep(0.05)
        return []


@pytest.fixture
def pair(tmp_path):
    made = []

    def start(scenario):
        made.append(Pair(scenario, tmp_path))
        return made[-1]

    yield start
    for process in (process for one in made for process in one.processes):
        process.kill()
        process.wait()


def test_processes_agree_and_say_where_they_do_not(pair):
    two = pair("agree")
    assert two.codes() == [1, 1]
    for output in two.outputs:
        assert "made by 0\n" in output.read_text()
    (first,) = two.errors(0)
    assert first.startswith(
        "error: process 0 of 2 ends: process 1 of 2 failed: ProcessesError: value: d"
    )
    (second,) = two.errors(1)
    assert second == "error: process 1 of 2 failed:"
    assert "never said" not in two.outputs[1].read_text()


def test_every_row_of_a_batch_arrives_in_its_place_in_any_order_of_devices(pair):
    two = pair("rows")
    assert two.codes() == [75, 75]  # a stop that was asked for: both end in order
    total = sum(row * 10**row for row in range(8))
    for number, output in enumerate(two.outputs):
        lines = output.read_text().splitlines()
        shares = [
            ([0, 1, 2, 3], [4, 5, 6, 7]),
            ([4, 5, 6, 7], [0, 1, 2, 3]),
            ([2, 3, 6, 7], [0, 1, 4, 5]),
        ]
        assert lines == [
            *(
                f"{order} {share[number]} (8,) {total}"
                for order, share in zip(
                    ("as they are", "reversed", "interleaved"), shares, strict=True
                )
            ),
            f"process {number} of 2: done",
        ]


def test_a_lost_process_ends_the_one_that_waits_for_it(pair):
    two = pair("killed")
    assert two.codes() == [1, -signal.SIGKILL]
    lost = r"error: process 0 of 2 ends: process 1 of 2 was lost \(no sign of life for \d s\); "
    (line,) = two.errors(0)
    assert re.fullmatch(lost + AGAIN, line)
    (line,) = two.errors(1)
    assert line.startswith(
        "error: process 1 of 2 ended abruptly: process 0, the coordinator, was lost,"
    )


@pytest.mark.slow
def test_a_failing_process_ends_the_one_that_waits_for_it(pair):
    two = pair("raise")
    assert two.codes() == [1, 1]
    reason = "process 1 of 2 failed: KeyError: 'nothing here'"
    assert two.errors(0) == [f"error: process 0 of 2 ends: {reason}"]
    assert two.errors(1) == ["error: process 1 of 2 failed:"]
    assert "Traceback" in two.outputs[1].read_text()


@pytest.mark.slow
def test_a_frozen_process_counts_as_lost(pair):
    two = pair("frozen")
    assert two.processes[0].wait(timeout=60) == 1
    (line,) = two.errors(0)
    assert line.startswith(
        "error: process 0 of 2 ends: process 1 of 2 was lost (no sign of life for 3 s"
    )


def test_without_the_coordinator_the_others_end_too(pair):
    two = pair("coordinator killed")
    start = time.monotonic()
    codes = two.codes()
    assert codes[0] == -signal.SIGKILL and codes[1] in (1, -signal.SIGABRT)
    assert time.monotonic() - start < 30
    assert any(
        "process 0" in line and "was lost" in line and AGAIN in line for line in two.errors(1)
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("host:1", 2, None), "--coordinator, --processes, --process: expected all three or none"),
        ((None, None, 0), "expected all three or none"),
        (("host", 2, 0), "--coordinator=host: expected HOST:PORT"),
        (("host:1", 0, 0), "--processes=0: expected 1 or more"),
        (("host:1", 2, 2), "--process=2: expected 0 to 1"),
        (("host:1", 2, -1), "--process=-1: expected 0 to 1"),
    ],
)
def test_placements_that_make_no_sense(values, message):
    with pytest.raises(ProcessesError, match=message):
        placement(*values)


def test_placements():
    assert placement(None, None, None) is None
    assert placement("[::1]:99", 4, 3) == Placement("[::1]:99", 4, 3)


SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[03-04]",
    "SLURM_NTASKS": "16",
    "SLURM_PROCID": "9",
    "SLURM_LOCALID": "1",
}
OMPI = {
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "3",
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
}


@pytest.mark.parametrize(
    ("variables", "expected", "cluster"),
    [(SLURM, "slurm", SlurmCluster), (OMPI, "ompi", OmpiCluster)],
)
def test_launchers_are_told_by_the_variables_jax_asks_for(
    monkeypatch, tmp_path, variables, expected, cluster
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert launcher(os.environ, tmp_path) == expected == cluster.name
    assert cluster.is_env_present() and cluster.get_process_count() > 1


def test_alone_under_a_launcher(tmp_path):
    assert launcher({}, tmp_path) is None
    assert launcher(SLURM | {"SLURM_NTASKS": "1"}, tmp_path) is None
    script = {name: value for name, value in SLURM.items() if name != "SLURM_STEP_NODELIST"}
    assert launcher(script, tmp_path) is None  # under sbatch, but not under srun
    assert launcher(OMPI | {"OMPI_COMM_WORLD_SIZE": "1"}, tmp_path) is None


def test_an_open_mpi_that_does_not_say_where_process_0_is(tmp_path):
    variables = {k: v for k, v in OMPI.items() if k != "OMPI_MCA_orte_hnp_uri"}
    with pytest.raises(ProcessesError, match="--process=.OMPI_COMM_WORLD_RANK"):
        launcher(variables, tmp_path)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "tpu"),  # a Cloud TPU VM: the metadata server knows
        ({"TPU_SKIP_MDS_QUERY": "1"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, "tpu"),  # GKE
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ({"TPU_WORKER_HOSTNAMES": "localhost", "MEGASCALE_NUM_SLICES": "2"}, "tpu"),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "JAX_PLATFORMS": "cpu"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "JAX_PLATFORMS": "tpu,cpu"}, "tpu"),
    ],
)
def test_tpu_pods(monkeypatch, tmp_path, variables, expected):
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: name == "libtpu")
    assert launcher(variables, tmp_path) is None  # no chips here
    (tmp_path / "vfio").mkdir()
    (
        tmp_path / "vfio/vfio"
    ).touch()  # the container of devices, on every machine that has the driver
    assert launcher(variables, tmp_path) is None
    (tmp_path / "vfio/0").touch()
    assert launcher(variables, tmp_path) == expected
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: None)
    assert launcher(variables, tmp_path) is None
