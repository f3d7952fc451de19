"""One run as two processes of four simulated devices each, through run.py, beside one process of eight.

The processes talk over loopback as two hosts would over a network.
"""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from tests import compiled_once
from tests.parity.door import begin_with_clip

ROOT = Path(__file__).resolve().parents[1]
AGAIN = "start all processes again: the run goes on from its last checkpoint"
TOLERANCE = 1e-5  # sums over devices are taken in another order; seen are 5e-7

# Makes photos of the training split unreadable on this process alone.
BROKEN_SHARD = """
import runpy, sys
from geosurge_jax.dataset import reader as dataset
def unreadable(self, index):
    raise OSError(5, "Input/output error")
dataset.RecordSource.__getitem__ = unreadable
sys.argv = sys.argv[1:]
runpy.run_path("run.py", run_name="__main__")
"""


# Starts this process alone with another seed.
OTHER_SEED = """
import runpy, sys
sys.argv = [*sys.argv[1:], "--config.seed=3"]
runpy.run_path("run.py", run_name="__main__")
"""


def arguments(workdir, datasets, *more):
    return [
        "run.py",
        "--config=configs/geosurge.py:tiny",
        f"--config.data.directory={datasets}",
        *begin_with_clip(datasets),
        f"--workdir={workdir}",
        *map(str, more),
    ]


def environment(devices):
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", f"device_count={devices}")
    assert f"device_count={devices}" in flags
    return compiled_once.environment() | {"XLA_FLAGS": flags}


def run_alone(workdir, datasets, *more):
    done = subprocess.run(
        [sys.executable, *arguments(workdir, datasets, *more)],
        cwd=ROOT,
        env=environment(8),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


class Pair:
    """The two processes of a run."""

    def __init__(self, logs, given, prefixes=((), ())):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.logs, self.processes = [logs / "0.log", logs / "1.log"], []
        for number, log in enumerate(self.logs):
            place = [f"--coordinator=127.0.0.1:{port}", "--processes=2", f"--process={number}"]
            with log.open("w") as file:
                started = subprocess.Popen(
                    [sys.executable, *prefixes[number], *given, *place],
                    cwd=ROOT,
                    env=environment(4),
                    stdout=subprocess.DEVNULL,  # Gloo tells there who is connected
                    stderr=file,
                )
            self.processes.append(started)

    def codes(self, timeout=300):
        return [process.wait(timeout) for process in self.processes]

    def said(self, number):
        return self.logs[number].read_text()

    def error(self, number):
        """The last line of a process; that of a witness comes a moment after the end."""
        deadline = time.monotonic() + 5
        while "error: " not in self.said(number) and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.said(number).splitlines()[-1]


@pytest.fixture
def pair(tmp_path):
    made = []

    def start(given, **options):
        made.append(Pair(tmp_path, given, **options))
        return made[-1]

    yield start
    for process in (process for one in made for process in one.processes):
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="module")
def two(datasets, tmp_path_factory):
    """A whole run of two processes, which also makes the dataset."""
    workdir = tmp_path_factory.mktemp("two") / "run"
    both = Pair(tmp_path_factory.mktemp("logs"), arguments(workdir, datasets))
    try:
        assert both.codes() == [0, 0], both.said(0) + both.said(1)
    finally:
        for process in both.processes:
            process.kill()
            process.wait()
    return workdir, both


@pytest.fixture(scope="module")
def one(two, datasets, tmp_path_factory):
    """The same run of one process on as many devices; depends on `two` for the dataset."""
    workdir = tmp_path_factory.mktemp("one") / "run"
    return workdir, run_alone(workdir, datasets)


def rows(workdir):
    found = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for row in found:
        row.pop("train/photos_per_second", None)
    return found


def assert_close(workdir, expected):
    """Every metric of every step, in order: training losses and norms, and validation."""
    found, wanted = rows(workdir), rows(expected)
    assert [(row["step"], sorted(row)) for row in found] == [
        (row["step"], sorted(row)) for row in wanted
    ]
    for row, other in zip(found, wanted, strict=True):
        for name in row:
            np.testing.assert_allclose(row[name], other[name], rtol=TOLERANCE, err_msg=name)


def test_two_processes_train_as_one_does(one, two):
    assert_close(two[0], one[0])
    losses = [row["train/loss"] for row in rows(one[0]) if "train/loss" in row]
    assert len(losses) == 4 and len(set(losses)) == 4
    alone, shared = (json.loads((run[0] / "scores.json").read_text()) for run in (one, two))
    # What follows from the probabilities themselves knows the order of sums; the answers do not.
    for data_set in alone:
        found, wanted = (run[data_set].pop("calibration") for run in (shared, alone))
        numbers = jax.tree.leaves(wanted)
        np.testing.assert_allclose(jax.tree.leaves(found), numbers, rtol=TOLERANCE, atol=1e-6)
        assert len(numbers) > 20
    assert alone == shared


def test_the_first_process_speaks_and_writes_for_both(one, two):
    workdir, both = two
    assert "step 8 of 8  loss" in both.said(0)
    assert both.said(1) == ""
    left = [sorted(path.name for path in found.iterdir()) for found in (workdir, one[0])]
    assert left[0] == left[1]


def wait_for(both, workdir, text):
    metrics, deadline = workdir / "metrics.jsonl", time.monotonic() + 200
    while not (metrics.exists() and text in metrics.read_text()):
        assert all(process.poll() is None for process in both.processes), both.said(0)
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lose(both, workdir, victim):
    """Kills a process in the middle of the run; returns how the other ends, within a minute."""
    wait_for(both, workdir, '"step": 4, "train')
    both.processes[victim].send_signal(signal.SIGKILL)
    code = both.processes[1 - victim].wait(timeout=60)
    saved = [int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit()]
    assert 2 <= max(saved) < 8, "lost in the middle of the run"
    return code


def test_with_a_worker_lost_the_other_ends_and_one_process_goes_on(
    one, two, datasets, pair, tmp_path
):
    workdir = tmp_path / "run"
    both = pair(arguments(workdir, datasets))
    assert lose(both, workdir, victim=1) == 1
    assert "error: process 0 of 2 ends: process 1 of 2 was lost" in both.error(0)
    assert AGAIN in both.error(0) and "ended abruptly" in both.error(1)
    mesh = ("--config.mesh.data=2", "--config.mesh.fsdp=2", "--config.mesh.model=2")
    run_alone(workdir, datasets, *mesh)
    assert_close(workdir, one[0])


@pytest.mark.slow
def test_with_the_coordinator_lost_the_other_ends_and_two_go_on(one, datasets, pair, tmp_path):
    workdir = tmp_path / "run"
    both = pair(arguments(workdir, datasets))
    # JAX aborts in C++, and Python's handler, which then prints the frames of running threads, may trip.
    assert lose(both, workdir, victim=0) in (1, -signal.SIGABRT, -signal.SIGSEGV)
    assert "process 0" in both.error(1) and "was lost" in both.error(1) and AGAIN in both.error(1)
    again = pair(arguments(workdir, datasets))
    assert again.codes() == [0, 0]
    assert_close(workdir, one[0])


@pytest.mark.slow
def test_a_notice_for_one_process_stops_both_and_nothing_is_lost(one, datasets, pair, tmp_path):
    workdir = tmp_path / "run"
    both = pair(arguments(workdir, datasets))
    wait_for(both, workdir, '"step": 4, "train')
    both.processes[1].send_signal(signal.SIGTERM)
    assert both.codes(120) == [75, 75]
    assert "stopped by SIGTERM: the state after step " in both.said(0)
    (notice,) = both.said(1).splitlines()  # JAX's own
    assert "SIGTERM caught" in notice
    assert pair(arguments(workdir, datasets)).codes() == [0, 0]
    assert_close(workdir, one[0])


@pytest.mark.slow
def test_a_run_of_one_goes_on_as_two(one, datasets, pair, tmp_path):
    workdir = tmp_path / "run"
    with (tmp_path / "log").open("w") as log:
        alone = subprocess.Popen(
            [sys.executable, *arguments(workdir, datasets)],
            cwd=ROOT,
            env=environment(8),
            stderr=log,
        )
    while not (workdir / "checkpoints/2").exists():
        assert alone.poll() is None
        time.sleep(0.01)
    alone.kill()
    alone.wait()
    assert not (workdir / "checkpoints/8").exists()
    assert pair(arguments(workdir, datasets)).codes() == [0, 0]
    assert_close(workdir, one[0])


@pytest.mark.slow
def test_two_processes_score_and_predict_as_one_does(two, datasets, pair, tmp_path):
    from geosurge_jax.synthetic_earth.dataset import planet_records

    workdir = two[0]
    for record in planet_records(3, 48, 1, 0, 3):
        (tmp_path / f"{record.id.replace('/', '_')}.jpg").write_bytes(record.image)
    (tmp_path / "broken.jpg").write_bytes(b"not a photo")
    before = (workdir / "scores.json").read_text()
    assert pair(arguments(workdir, datasets, "--mode=eval")).codes() == [0, 0]
    assert (workdir / "scores.json").read_text() == before
    photos = arguments(workdir, datasets, "--mode=predict", tmp_path)
    both = pair(photos)
    assert both.codes() == [0, 0]
    assert "3 of 4 images placed" in both.said(0)
    assert "broken.jpg" in both.said(0) and "broken.jpg" not in both.said(1)
    assert all(line.startswith("process 1 of 2: ") for line in both.said(1).splitlines())
    found = (workdir / "predictions.csv").read_text()
    run_alone(workdir, datasets, "--mode=predict", tmp_path)
    assert_same_places(found, (workdir / "predictions.csv").read_text())


def assert_same_places(found, expected):
    found, expected = ([*csv.DictReader(text.splitlines())] for text in (found, expected))
    for name in ("image", "rank", "error", "warnings"):
        assert [row[name] for row in found] == [row[name] for row in expected]
    numbers = [
        [
            [float(row[name] or 0) for name in ("latitude", "longitude", "probability")]
            for row in rows
        ]
        for rows in (found, expected)
    ]
    np.testing.assert_allclose(*numbers, rtol=TOLERANCE)


@pytest.mark.slow
def test_a_shard_that_one_host_cannot_read_ends_both(two, datasets, pair, tmp_path):
    given = arguments(tmp_path / "run", datasets)
    both = pair(given, prefixes=((), ("-c", BROKEN_SHARD)))
    assert both.codes() == [2, 2]
    assert "error: process 1 of 2: split train: " in both.said(1)
    assert "Input/output error" in both.said(1) and "Traceback" not in both.said(1)
    assert both.error(0).startswith(
        "error: process 0 of 2 ends: process 1 of 2 failed: split train"
    )


def test_a_config_that_is_wrong_on_one_host_ends_both(datasets, pair, tmp_path):
    given = arguments(tmp_path / "run", datasets)
    both = pair(given, prefixes=((), ("-c", OTHER_SEED)))
    assert both.codes(60) == [2, 2]
    assert "config.seed: 0 -> 3" in both.error(0) and "config.seed: 0 -> 3" in both.error(1)
    assert not (tmp_path / "run").exists()


def test_a_process_that_never_comes_ends_the_wait(datasets, tmp_path):
    place = ("--coordinator=127.0.0.1:1", "--processes=2", "--process=1", "--start_timeout=2")
    done = subprocess.run(
        [sys.executable, *arguments(tmp_path / "run", datasets, *place)],
        cwd=ROOT,
        env=environment(4),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: process 1 of 2: not all processes of the run met at 127.0.0.1:1")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--processes=2",), "--coordinator, --processes, --process: expected all three or none"),
        (("--workdir=gs://bucket/run",), "--workdir=gs://bucket/run: expected a directory; mount"),
        (
            ("--config.data.directory=gs://bucket/data",),
            "config.data.directory=gs://bucket/data: expected a directory; mount",
        ),
    ],
)
def test_what_several_hosts_cannot_share_is_refused(datasets, tmp_path, flags, message):
    done = subprocess.run(
        [sys.executable, *arguments(tmp_path / "run", datasets, *flags)],
        cwd=ROOT,
        env=environment(8),
        capture_output=True,
        text=True,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith("error: ") and message in line
