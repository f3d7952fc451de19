import csv
import json
import shutil

import numpy as np
import pytest

from configs import geoclip, geosurge
from geosurge_jax.experiment import query
from geosurge_jax.interop.family import WeightsError
from tests.experiment.fresh import checkpoint, claimed
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


def test_sentences_are_placed_as_their_vectors_say(trained, text_encoder, capfd):
    raw, workdir, model, params = trained
    query.run(raw, workdir.root, str(text_encoder), SENTENCES)
    with (workdir.root / "queries.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sentence"] for row in rows[::5]] == [*SENTENCES] and len(rows) == 15
    features = json.loads((workdir.root / "queries.geojson").read_text())["features"]
    assert features[5]["properties"]["sentence"] == SENTENCES[1]
    assert "3 sentences placed by the checkpoint of step 3" in capfd.readouterr().err
    encoder = query.load_text_encoder(text_encoder)
    posterior = model.system.query(
        params, model.system.prepare(params, {}), encoder.vectors(SENTENCES)
    )
    for number, row in enumerate(rows[::5]):
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
        ("nowhere", SENTENCES, "--text_encoder='nowhere'"),
    ],
)
def test_what_is_missing_is_named(trained, text_encoder, encoder, sentences, message):
    raw, workdir, *_ = trained
    given = str(text_encoder) if encoder is None else encoder
    with pytest.raises((ValueError, WeightsError), match=message) as caught:
        query.run(raw, workdir.root, given, sentences)
    assert "\n" not in str(caught.value)


def test_a_text_tower_of_another_width_is_refused(tmp_path, text_encoder, width):
    raw = geoclip.get_config("tiny").to_dict()
    workdir, _ = claimed(tmp_path, raw)
    with pytest.raises(ValueError, match=f"makes vectors of width {width}, expected 24"):
        query.run(raw, workdir.root, str(text_encoder), SENTENCES)


def test_a_system_without_a_common_space_is_refused(tmp_path, text_encoder):
    raw = geosurge.get_config("tiny").to_dict()
    workdir, _ = claimed(tmp_path, raw)
    with pytest.raises(ValueError, match="'geosurge': this system has no common space with texts"):
        query.run(raw, workdir.root, str(text_encoder), SENTENCES)
