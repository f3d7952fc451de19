"""The door, used as a person uses it: whole processes of run.py on the shrunk real config."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import chex
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "--config=configs/geosurge.py:tiny"


def command(workdir, datasets, *arguments):
    return [
        sys.executable,
        "run.py",
        CONFIG,
        f"--config.data.directory={datasets}",
        f"--workdir={workdir}",
        *map(str, arguments),
    ]


def run(workdir, datasets, *arguments, expect=0):
    done = subprocess.run(
        command(workdir, datasets, *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == expect, done.stderr
    return done


def kept_steps(workdir):
    return sorted(int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit())


def final_state(workdir):
    newest = workdir / "checkpoints" / str(kept_steps(workdir)[-1])
    reader = ocp.PyTreeCheckpointer()
    shapes = reader.metadata(newest / "state").item_metadata.tree
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
    state = reader.restore(newest / "state", restore_args=as_numpy)
    progress = ocp.Checkpointer(ocp.JsonCheckpointHandler()).restore(newest / "progress")
    return state, progress


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="module")
def trained(datasets, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("straight")
    return workdir, run(workdir, datasets)


def test_training_leaves_what_it_promises(trained):
    workdir, done = trained
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
    assert "2500 km" in done.stderr and str(workdir / "report.html") in done.stderr


def test_killed_and_resumed_equals_undisturbed(trained, datasets, tmp_path):
    process = subprocess.Popen(
        command(tmp_path, datasets), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    metrics = tmp_path / "metrics.jsonl"
    deadline = time.monotonic() + 300
    while not (metrics.exists() and '"step": 4, "train' in metrics.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert max(kept_steps(tmp_path), default=0) < 8, "killed before the end"
    run(tmp_path, datasets)
    straight, straight_progress = final_state(trained[0])
    resumed, resumed_progress = final_state(tmp_path)
    assert resumed_progress == straight_progress
    assert kept_steps(tmp_path) == kept_steps(trained[0])
    assert len(jax.tree.leaves(straight)) > 20
    chex.assert_trees_all_equal(resumed, straight)

    def deterministic(path):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return [{k: v for k, v in row.items() if k != "train/photos_per_second"} for row in rows]

    assert deterministic(metrics) == deterministic(trained[0] / "metrics.jsonl")


def test_evaluation_alone_gives_the_same_table(trained, datasets):
    workdir, _ = trained
    before = (workdir / "scores.json").read_text()
    run(workdir, datasets, "--mode=eval")
    assert (workdir / "scores.json").read_text() == before


def test_prediction_places_photos_and_names_those_it_cannot_read(trained, datasets, tmp_path):
    from data.planet import planet_records

    workdir, _ = trained
    for record in planet_records(3, 48, 1, 0, 3):
        (tmp_path / f"{record.id.replace('/', '_')}.jpg").write_bytes(record.image)
    (tmp_path / "broken.jpg").write_bytes(b"not a photo")
    done = run(workdir, datasets, "--mode=predict", tmp_path)
    assert "broken.jpg" in done.stderr and "3 of 4 photos placed" in done.stderr
    with (workdir / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["file"] for row in rows}) == 3 and len(rows) == 15
    assert all(abs(float(row["latitude"])) <= 90 for row in rows)
    features = json.loads((workdir / "predictions.geojson").read_text())["features"]
    assert len(features) == 15 and features[0]["geometry"]["type"] == "Point"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config.training.steps=9",), "config.training.steps: 8 -> 9"),
        (
            ("--mode=eval", "--config.evaluation.datasets=('tset',)"),
            "config.evaluation.datasets: 'tset'",
        ),
        (("--mode=predict", "nowhere.jpg"), "nowhere.jpg: no such photo or folder"),
        (("--mode=eval", "--config.evaluation.checkpoint=99"), "config.evaluation.checkpoint='99'"),
    ],
)
def test_wrong_input_ends_in_one_line(trained, datasets, arguments, message):
    done = run(trained[0], datasets, *arguments, expect=2)
    error = done.stderr[done.stderr.index("error: ") :]
    assert message in error and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CONFIG, "--config.training.step=3"), 'Did you mean "steps" instead of "step"?'),
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
