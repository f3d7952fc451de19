"""Faults of storage met by whole processes of run.py: what its user sees, and what survives."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import chex
import pytest

from geosurge_jax.synthetic_earth import dataset as planet
from geosurge_jax.training.stored_parameters import restore_parameters
from tests import compiled_once

ROOT = Path(__file__).resolve().parents[1]

# Commands in a mount namespace of their own, as its root.
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "bash", "-ec")


def command(workdir, datasets, *arguments):
    return [
        sys.executable,
        "run.py",
        "--config=configs/geosurge.py:tiny",
        f"--config.data.directory={datasets}",
        f"--workdir={workdir}",
        *arguments,
    ]


def run(command):
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=1")
    return subprocess.run(
        command,
        cwd=ROOT,
        env=compiled_once.environment() | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def error_line(done, code=1):
    """The one line that a run ended with."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and done.stderr.count("error: ") == 1, done.stderr
    return last


def kept(workdir):
    return sorted(path.name for path in (workdir / "checkpoints").iterdir())


def end_of(workdir):
    """Final state, final notes and logged metrics of a run."""
    newest = workdir / "checkpoints" / "8"
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("train/photos_per_second", None)
    return restore_parameters(newest / "state"), (newest / "progress/metadata").read_text(), rows


def assert_same_end(workdir, undisturbed):
    assert kept(workdir) == kept(undisturbed)
    (state, notes, rows), expected = end_of(workdir), end_of(undisturbed)
    chex.assert_trees_all_equal(state, expected[0])
    assert (notes, rows) == expected[1:]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The tiny planet, made as a run makes it."""
    directory = tmp_path_factory.mktemp("datasets")
    planet.prepare(directory / "planet-200x32-seed0", photos=200, size=32, seed=0)
    return directory


@pytest.fixture(scope="module")
def undisturbed(datasets, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    done = run(command(workdir, datasets))
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.fixture
def at_step_6(undisturbed, tmp_path):
    """The same run as it was before its last checkpoint."""
    workdir = shutil.copytree(undisturbed, tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints" / "8")
    assert kept(workdir) == ["4", "6"]
    return workdir


def skip_without_mounts():
    probe = run([*NAMESPACE, "mount -t tmpfs -o size=1m none /mnt"])
    if probe.returncode:
        pytest.skip(f"needs mounts in a user namespace, refused here: {probe.stderr.strip()}")


def with_small_files(command):
    """The same command where no file can grow beyond 100 kB."""
    return ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash", *map(str, command)]


def test_a_run_whose_first_checkpoint_fails_ends_in_one_line(datasets, tmp_path):
    message = error_line(run(with_small_files(command(tmp_path, datasets))))
    assert "checkpoint of step 2 could not be saved" in message
    assert "File too large" in message and "there is no earlier one" in message


@pytest.mark.slow
def test_files_that_cannot_grow_stop_the_run_and_the_next_goes_on(at_step_6, undisturbed, datasets):
    message = error_line(run(with_small_files(command(at_step_6, datasets))))
    assert f"{at_step_6 / 'checkpoints'}: the checkpoint of step 8 could not be saved" in message
    assert "File too large" in message and "last whole checkpoint is step 6" in message
    done = run(command(at_step_6, datasets))
    assert done.returncode == 0, done.stderr
    assert_same_end(at_step_6, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("free_kilobytes", [400, 0])
def test_a_full_disk_stops_the_run_and_the_next_goes_on(
    at_step_6, undisturbed, datasets, tmp_path, free_kilobytes
):
    skip_without_mounts()
    disk = tmp_path / "disk"
    disk.mkdir()
    line = " ".join(command(disk / "run", datasets))
    script = f"""
        mount -t tmpfs -o size=32m none {disk}
        cp -r {at_step_6} {disk}/run
        free=$(df --output=avail -k {disk} | tail -1)
        head -c $((free * 1024)) /dev/zero > {disk}/filler
        truncate -s -{free_kilobytes}K {disk}/filler
        {line} && exit 1 || echo "exit code $?"
        rm {disk}/filler
        ls {disk}/run/checkpoints
        {line} 2> {tmp_path}/second.txt
        cp -r {disk}/run {tmp_path}/after
    """
    done = run([*NAMESPACE, script])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "exit code 1", done.stdout
    assert {"4", "6"} <= set(done.stdout.split()) and "8" not in done.stdout.split()
    done.returncode = 1
    assert "No space left on device" in error_line(done)
    assert_same_end(tmp_path / "after", undisturbed)


@pytest.mark.slow
def test_a_flipped_bit_costs_one_checkpoint_and_no_bit_of_the_result(
    at_step_6, undisturbed, datasets
):
    # Not all bytes of a checkpoint are used; of this many, some are.
    for path in at_step_6.glob("checkpoints/6/state/ocdbt.process_0/d/*"):
        content = bytearray(path.read_bytes())
        for place in range(len(content) // 2, len(content), 1000):
            content[place] ^= 1
        path.write_bytes(content)
    done = run(command(at_step_6, datasets))
    assert done.returncode == 0, done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if "is damaged" in line]
    assert f"moved to {at_step_6}/damaged/6, step 4 is used" in warning
    assert "Traceback" not in done.stderr
    assert_same_end(at_step_6, undisturbed)


@pytest.mark.parametrize("workdir", ["", "new"])
def test_a_read_only_workdir_is_refused_before_any_work(tmp_path, workdir):
    skip_without_mounts()
    disk = tmp_path / "disk"
    disk.mkdir()
    line = " ".join(command(disk / workdir, tmp_path / "datasets"))
    readonly = f"mount --bind {disk} {disk}; mount -o remount,ro,bind {disk}; {line}"
    message = error_line(run([*NAMESPACE, readonly]), code=2)
    assert f"--workdir={disk / workdir}: cannot write in {disk} (Read-only file system)" in message
    assert not (tmp_path / "datasets").exists()


@pytest.mark.parametrize("fault", ["missing", "truncated"])
def test_a_broken_shard_is_named_before_anything_is_written(datasets, tmp_path, fault):
    copy = shutil.copytree(datasets, tmp_path / "datasets")
    shard = sorted(copy.rglob("*-train.array_record-*"))[0]
    if fault == "missing":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-100])
    message = error_line(run(command(tmp_path / "run", copy)), code=2)
    assert shard.name in message and ("missing" in message or "bytes, expected" in message)
    assert not (tmp_path / "run").exists()
