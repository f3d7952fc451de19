import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import geoclip, geosurge
from geosurge_jax.command_end import NothingDoneError, SomeFailed
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.interop.text_encoder import load_text_encoder
from geosurge_jax.serving import run_modes
from tests.experiment.fresh import checkpoint
from tests.parity.oracle import FOLDER, thaw

SENTENCES = ("a street in Kyoto", "snow, and a red house", "a beach")


@pytest.fixture(scope="module")
def text_encoder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("text") / "clip"
    shutil.copytree(FOLDER / "tokenizer_clip", directory)
    return thaw("text_encoder_clip").write_directory(directory)


@pytest.fixture(scope="module")
def width():
    return thaw("text_encoder_clip").expected["pooled"].shape[1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, width):
    config = geoclip.get_config("tiny")
    config.system.visual.projection = width
    raw = config.to_dict()
    return raw, *checkpoint(tmp_path_factory.mktemp("run"), raw)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_sentences_are_placed_as_their_vectors_say(trained, text_encoder, capfd):
    raw, workdir, model, params = trained
    run_modes.query(raw, workdir.root, str(text_encoder), SENTENCES)
    found = [row for row in rows(workdir.root / "queries.csv") if row["rank"] == "1"]
    assert [row["image"] for row in found] == [*SENTENCES]
    features = json.loads((workdir.root / "queries.geojson").read_text())["features"]
    assert {one["properties"]["image"] for one in features} == {*SENTENCES}
    assert "3 sentences placed by the checkpoint of step 3" in capfd.readouterr().out
    encoder = load_text_encoder(text_encoder)
    posterior = model.system.query(
        params, model.system.prepare(params, {}), encoder.vectors(SENTENCES)
    )
    for number, row in enumerate(found):
        best = int(np.argmax(posterior.log_prob[number]))
        place = [float(row["latitude"]), float(row["longitude"])]
        np.testing.assert_allclose(place, posterior.latlng[best], atol=1e-5)
        expected = float(np.exp(posterior.log_prob[number, best]))
        assert float(row["probability"]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("encoder", "sentences", "message"),
    [
        (None, (), "--mode=query: expected sentences as arguments"),
        ("", SENTENCES, "--text_encoder: missing"),
        ("nowhere", SENTENCES, "text_encoder='nowhere'"),
    ],
)
def test_what_is_missing_is_named(trained, text_encoder, encoder, sentences, message):
    raw, workdir, *_ = trained
    given = str(text_encoder) if encoder is None else encoder
    with pytest.raises(ValueError, match=message) as caught:
        run_modes.query(raw, workdir.root, given, sentences)
    assert "\n" not in str(caught.value)


def test_a_text_encoder_of_another_width_is_refused(tmp_path, text_encoder, width):
    raw = geoclip.get_config("tiny").to_dict()
    workdir, *_ = checkpoint(tmp_path, raw)
    with pytest.raises(ValueError, match=f"makes vectors of width {width}, expected 24"):
        run_modes.query(raw, workdir.root, str(text_encoder), SENTENCES)


def test_a_system_that_reads_maps_takes_those_of_the_config(tmp_path, text_encoder, capfd):
    raw = geosurge.get_config("tiny").to_dict()
    workdir, *_ = checkpoint(tmp_path, raw)
    with pytest.raises(ValueError, match="'geosurge' has no common space with texts"):
        run_modes.query(raw, workdir.root, str(text_encoder), SENTENCES)
    maps = tmp_path / "maps"
    maps.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (40, 40), (200, 40, 40)).save(tmp_path / f"{name}.png")
    Image.new("L", (40, 40), 3).save(maps / "a.png")
    (tmp_path / "bad.jpg").write_bytes(b"not an image")
    images = [tmp_path / name for name in ("a.png", "b.png", "bad.jpg")]
    raw["evaluation"]["maps"] = str(maps)
    with pytest.raises(SomeFailed, match="1 of 3 images failed"):
        run_modes.predict(raw, workdir.root, images)
    said = " ".join(capfd.readouterr().out.split())
    assert "2 of 3 images placed (1 with a segmentation map) by the checkpoint of step 3" in said
    assert "bad.jpg" in said
    found = {Path(row["image"]).name: row for row in rows(workdir.root / "predictions.csv")}
    assert "segmentation missing" in found["b.png"]["warnings"]
    assert "segmentation missing" not in found["a.png"]["warnings"]
    assert "not a picture" in found["bad.jpg"]["error"]
    assert not [*workdir.root.glob(".predictions*")]
    with pytest.raises(NothingDoneError, match="none of 1 images could be placed"):
        run_modes.predict(raw, workdir.root, images[2:])
    again = {Path(row["image"]).name for row in rows(workdir.root / "predictions.csv")}
    assert again == {"a.png", "b.png", "bad.jpg"} and not [*workdir.root.glob(".predictions*")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "--mode=predict: expected images or folders"),
        (["nowhere.jpg"], "nowhere.jpg: no such image or folder"),
        (["."], r"no image here \(0 files seen: .*\); expected .jpg"),
    ],
)
def test_images_that_are_not_there_are_named(tmp_path, names, message):
    with pytest.raises(ConfigError, match=message):
        run_modes.find_images([tmp_path / name for name in names])


def test_folders_are_searched(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("folder/b.PNG", "folder/a.jpg", "folder/text.txt", "c.jpg"):
        (tmp_path / name).touch()
    found, skipped = run_modes.find_images([tmp_path / "c.jpg", tmp_path / "folder"])
    assert dict(skipped) == {".txt": 1}
    assert [path.name for path in found] == ["c.jpg", "a.jpg", "b.PNG"]
