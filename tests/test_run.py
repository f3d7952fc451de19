"""The door, used as a person uses it: whole processes of run.py on the shrunk real config."""

import csv
import hashlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

from benchmarks.chaos import final_state, kept_steps, reproducible_metrics
from tests import compiled_once
from tests.parity.door import begin_with_clip, weights_of_clip

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "--config=configs/geosurge.py:tiny"


def command(workdir, datasets, *arguments):
    return [
        sys.executable,
        "run.py",
        CONFIG,
        f"--config.data.directory={datasets}",
        *begin_with_clip(datasets),
        f"--workdir={workdir}",
        *map(str, arguments),
    ]


def run(workdir, datasets, *arguments, expect=0):
    done = subprocess.run(
        command(workdir, datasets, *arguments),
        cwd=ROOT,
        env=compiled_once.environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == expect, done.stderr
    return done


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="module")
def trained(datasets, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("straight")
    return workdir, run(workdir, datasets)


def test_training_leaves_what_it_promises(trained, datasets):
    workdir, done = trained
    weights = weights_of_clip(datasets) / "model.safetensors"
    identity = {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()}
    assert json.loads((workdir / "run.json").read_text())["weights"] == identity
    for name in (
        "run.json",
        "layout.txt",
        "geocells.npz",
        "metrics.jsonl",
        "report.md",
        "report.html",
    ):
        assert (workdir / name).stat().st_size, name
    assert list((workdir / "tensorboard").glob("events.*"))
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "train/loss" in row] == [2, 4, 6, 8]
    assert [row["step"] for row in rows if "validation/loss" in row] == [4, 8]
    assert "2500 km" in done.stdout and str(workdir / "report.html") in done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("step ")]
    assert [line.partition("  loss")[0] for line in lines] == [
        f"step {n} of 8" for n in (2, 4, 6, 8)
    ]


def wait_for(process, metrics, text):
    deadline = time.monotonic() + 300
    while not (metrics.exists() and text in metrics.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ended_and_resumed_equals_undisturbed(trained, datasets, tmp_path, number):
    process = subprocess.Popen(
        command(tmp_path, datasets),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(process, tmp_path / "metrics.jsonl", '"step": 4, "train')
    process.send_signal(number)
    _, errors = process.communicate()
    newest = max(kept_steps(tmp_path), default=0)
    assert newest < 8, "ended before the end"
    if number == signal.SIGTERM:
        assert process.returncode == 75
        assert f"stopped by SIGTERM: the state after step {newest} is saved" in errors
        assert "Traceback" not in errors
    again = run(tmp_path, datasets)
    assert ("resumes at step" in again.stderr) == (newest > 0)
    straight, straight_progress = final_state(trained[0])
    resumed, resumed_progress = final_state(tmp_path)
    assert resumed_progress == straight_progress
    assert kept_steps(tmp_path)[-1] == kept_steps(trained[0])[-1] == 8
    assert len(jax.tree.leaves(straight)) > 20
    chex.assert_trees_all_equal(resumed, straight)
    assert reproducible_metrics(tmp_path) == reproducible_metrics(trained[0])


def test_a_second_run_in_the_same_workdir_is_refused(datasets, tmp_path):
    first = subprocess.Popen(
        command(tmp_path, datasets), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(first, tmp_path / "run.lock", "process")
    done = run(tmp_path, datasets, expect=2)
    first.terminate()
    assert f"another run is at work here (host {socket.gethostname()}" in done.stderr
    assert f"process {first.pid})" in done.stderr and "Traceback" not in done.stderr
    first.wait()


@pytest.mark.slow
def test_a_clock_that_goes_back_changes_nothing(trained, datasets, tmp_path):
    process = subprocess.Popen(
        command(tmp_path, datasets), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(process, tmp_path / "metrics.jsonl", '"step": 4, "train')
    process.kill()
    process.wait()
    yesterday = "import runpy, sys, time; now = time.time; time.time = lambda: now() - 86400; "
    run_again = f"{yesterday}sys.argv = sys.argv[1:]; runpy.run_path('run.py', run_name='__main__')"
    arguments = command(tmp_path, datasets)
    done = subprocess.run(
        [arguments[0], "-c", run_again, *arguments[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    chex.assert_trees_all_equal(final_state(tmp_path), final_state(trained[0]))


def test_the_first_steps_run_again_agree_until_a_bit_is_changed(trained, datasets, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(trained[0], workdir)
    done = run(workdir, datasets, "--mode=verify", "--steps=4")
    assert "steps 1 to 4: all 2 logged lines of metrics agree bit for bit" in done.stdout
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    rows[1]["train/loss"] = float(np.nextafter(np.float32(rows[1]["train/loss"]), np.float32(0)))
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run(workdir, datasets, "--mode=verify", expect=1)
    assert "error: step 4: train/loss is" in done.stderr and "the bits differ" in done.stderr


def test_evaluation_alone_gives_the_same_table(trained, datasets):
    workdir, _ = trained
    before = (workdir / "scores.json").read_text()
    run(workdir, datasets, "--mode=eval")
    assert (workdir / "scores.json").read_text() == before


def test_prediction_places_images_and_names_those_it_cannot_read(trained, datasets, tmp_path):
    from geosurge_jax.synthetic_earth.dataset import planet_records

    workdir, _ = trained
    for record in planet_records(3, 48, 1, 0, 3):
        (tmp_path / f"{record.id.replace('/', '_')}.jpg").write_bytes(record.image)
    (tmp_path / "broken.jpg").write_bytes(b"not a photo")
    done = run(workdir, datasets, "--mode=predict", tmp_path, expect=3)
    assert "broken.jpg" in done.stdout and "3 of 4 images placed" in done.stdout
    assert done.stderr.splitlines()[-1] == "1 of 4 images failed; their rows hold the errors"
    with (workdir / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    placed = [row for row in rows if not row["error"]]
    assert len({row["image"] for row in placed}) == 3
    assert [row["rank"] for row in placed if row["rank"] != "0"] == [*"12345"] * 3
    assert all(abs(float(row["latitude"])) <= 90 for row in placed)
    (failed,) = (row for row in rows if row["error"])
    assert "broken.jpg" in failed["error"] and failed["latitude"] == ""
    features = json.loads((workdir / "predictions.geojson").read_text())["features"]
    points = [one for one in features if one["geometry"] is not None]
    assert len(points) == len(placed) and points[0]["geometry"]["type"] == "Point"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config.training.steps=9",), "config.training.steps: 8 -> 9"),
        (
            ("--mode=eval", "--config.evaluation.datasets=('tset',)"),
            "config.evaluation.datasets: 'tset'",
        ),
        (("--mode=predict", "nowhere.jpg"), "nowhere.jpg: no such image or folder"),
        (("--mode=eval", "--config.evaluation.checkpoint=99"), "config.evaluation.checkpoint='99'"),
    ],
)
def test_wrong_input_ends_in_one_line(trained, datasets, arguments, message):
    done = run(trained[0], datasets, *arguments, expect=2)
    error = done.stderr[done.stderr.index("error: ") :]
    assert message in error and "Traceback" not in done.stderr


def test_weights_that_do_not_fit_leave_the_workdir_free(datasets, tmp_path):
    arguments = ("--config.system.visual.size=nano", "--config.system.visual.patch=16")
    done = run(tmp_path / "run", datasets, *arguments, expect=2)
    assert (
        "config.system.visual.patch: 16 -> 8\n  config.system.visual.size: 'nano' -> 'mu'"
        in done.stderr
    )
    assert "Traceback" not in done.stderr and not (tmp_path / "run/run.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CONFIG, "--config.training.step=3"), "did you mean --config.training.steps?"),
        ((CONFIG, "--config.trainning.batch_size=3"), "did you mean --config.training.batch_size?"),
        (("--config=geosurge:tiny",), "did you mean configs/geosurge.py:tiny?"),
        ((CONFIG, "--config.training.steps=many"), "--config.training.steps=many"),
        (("--config=configs/geosurge.py:big",), "geosurge.py:big: expected one of"),
        (("--config=nowhere.py",), "nowhere.py"),
        ((), "--config is missing"),
    ],
)
def test_a_wrong_command_line_ends_in_one_line(tmp_path, arguments, message):
    done = subprocess.run(
        [sys.executable, "run.py", f"--workdir={tmp_path / 'run'}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and last.startswith("error: command line: ") and message in last
    assert "Traceback" not in done.stderr and not (tmp_path / "run").exists()
