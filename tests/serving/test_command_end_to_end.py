"""The geosurge command on a real, tiny, untrained run."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from configs import geoclip
from geosurge_jax.serving.command import app
from geosurge_jax.serving.journal import Journal, journal_path
from tests.experiment.fresh import checkpoint


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    raw = geoclip.get_config("tiny").to_dict()
    raw["system"]["visual"]["projection"] = 0
    return checkpoint(tmp_path_factory.mktemp("run"), raw)


@pytest.fixture
def folder(tmp_path):
    """Six files: four images, of which one lies in a subfolder, a text and an empty file."""
    rng = np.random.default_rng(0)
    (tmp_path / "images/sub").mkdir(parents=True)
    for name in ("a.png", "c.jpg", "f.webp", "sub/e.jpg"):
        # The system's images have 32 pixels.
        size = (32, 32) if name == "a.png" else (40, 56)
        pixels = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    (tmp_path / "images/b.jpg").write_text("not an image")
    (tmp_path / "images/d.png").touch()
    return tmp_path / "images"


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_folder_is_placed_killed_and_resumed(trained, folder, monkeypatch):
    workdir, model, params = trained
    out = folder.parent / "out.csv"
    command = ("predict", folder, "--model", workdir.root, "--out", out, "--batch-size", 2)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda journal: None)
        done = run(*command)
    assert done.exit_code == 3, done.output
    expected = "6 files seen: 4 placed, 2 rejected (2 unreadable), 0 skipped"
    assert f"{expected} -> {out}" in done.stderr
    expected = out.read_bytes()
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    failed = [row["image"] for row in rows if row["error"]]
    assert failed == [f"{folder}/b.jpg", f"{folder}/d.png"]
    placed = [row for row in rows if row["rank"] == "1"]
    assert [row["image"].removeprefix(f"{folder}/") for row in placed] == [
        "a.png",
        "c.jpg",
        "f.webp",
        "sub/e.jpg",
    ]
    # Independently of the Predictor: the system's own posterior of the image that needs no resizing.
    image = np.repeat(np.asarray(Image.open(folder / "a.png"))[None], 8, axis=0)
    posterior = model.system.posterior(params, model.system.prepare(params, {}), {"image": image})
    best = int(np.argmax(posterior.log_prob[0]))
    found = [float(placed[0]["latitude"]), float(placed[0]["longitude"])]
    np.testing.assert_allclose(found, posterior.latlng[best], atol=1e-5)

    # Killed in the middle of the line of the fourth image.
    journal = journal_path(out)
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 6 and json.loads(lines[0])["settings"]["--model"] == str(workdir.root)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:25])
    out.unlink()
    done = run(*command, "--resume")
    assert done.exit_code == 3 and "resumed: 3 results are there, 3 images are left" in done.stderr
    assert out.read_bytes() == expected and not journal.exists()


def test_a_model_that_is_not_there_is_one_line(tmp_path):
    done = run("predict", "a.jpg", "--model", tmp_path / "nowhere")
    assert done.exit_code == 4 and done.stderr.count("\n") == 1
    assert "nowhere" in done.stderr and "no such directory" in done.stderr
    done = run("info", tmp_path)
    assert done.exit_code == 4 and "holds neither run.json nor config.json" in done.stderr
