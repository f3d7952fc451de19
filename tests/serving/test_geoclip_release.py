"""A release as the official code answers from it: frozen outputs of geoclip 1.3.0, computed in float64."""

import json

import jax
import numpy as np
import pytest

from geosurge_jax import LocationEncoder, Predictor
from geosurge_jax.experiment.export import write_geoclip
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.safetensors_file import open_safetensors
from tests.parity.oracle import thaw
from tests.serving.releases import IMAGES, images, write_release


@pytest.fixture(scope="module")
def oracle():
    return thaw("geoclip_release")


def test_places_and_probabilities_are_those_of_the_official_code(predictor, oracle):
    gallery = oracle.inputs["gallery"].astype(np.float32)
    for number, (image, prediction) in enumerate(
        zip(images(), predictor.predict(images()), strict=True)
    ):
        expected = oracle.expected[f"probability_{number}"]
        np.testing.assert_allclose(np.exp(prediction.posterior.log_prob), expected, rtol=1e-4)
        np.testing.assert_array_equal(prediction.posterior.latlng, gallery)
        top = oracle.expected[f"top_{number}"].astype(int)
        found = [candidate.latlng for candidate in prediction.top(5)]
        np.testing.assert_array_equal(np.float32(found), gallery[top])
        assert prediction.latlng == found[0] and not prediction.warnings
        alone = predictor.predict(image)
        np.testing.assert_allclose(
            alone.posterior.log_prob, prediction.posterior.log_prob, atol=1e-5
        )


def test_preprocessing_is_that_of_the_official_code(predictor, oracle):
    statistics = predictor.model.system.preprocessing
    mean, std = (np.float32(values) for values in (statistics.mean, statistics.deviation))
    for number, image in enumerate(images()):
        views = predictor._preparation.prepare(image, 1, None).views
        ours = ((views[0].astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)
        np.testing.assert_allclose(ours, oracle.expected[f"pixel_values_{number}"], atol=1e-6)


def test_the_location_encoder_alone(release, oracle):
    encoder = LocationEncoder.from_pretrained(release)
    vectors = encoder(oracle.inputs["gallery"])
    np.testing.assert_allclose(vectors, oracle.expected["locations"], atol=1e-5)
    # Another number of rows is another program, whose sums may come in another order.
    few = encoder(oracle.inputs["gallery"][3:5])
    np.testing.assert_allclose(few, vectors[3:5], atol=1e-6)
    with pytest.raises(ValueError, match=r"latlng row 1 is \(91.0, 0.0\)"):
        encoder(np.array([[0.0, 0.0], [91.0, 0.0]]))


def test_what_is_exported_in_the_format_holds_the_same_tensors(predictor, oracle, tmp_path):
    folder = tmp_path / "again"
    write_geoclip(folder, predictor.model, jax.device_get(predictor.model.params))
    tensors = open_safetensors(folder / "model.safetensors")
    assert set(tensors) == set(oracle.weights)
    for name, tensor in oracle.weights.items():
        np.testing.assert_array_equal(tensors[name], tensor)
    config = json.loads((folder / "config.json").read_text())
    expected = {**oracle.config, "gallery_file": "coordinates_100K.csv"}
    expected["sigma"] = [float(sigma) for sigma in expected["sigma"]]
    assert {name: config[name] for name in expected} == expected
    rows = np.loadtxt(folder / "coordinates_100K.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(rows, oracle.inputs["gallery"])


def test_an_own_gallery_replaces_the_releases(release, cache, tmp_path, predictor):
    places = [(48.85, 2.35), (35.7, 139.7), (48.85, 2.35)]
    rows = "\n".join(f"{lat},{lng}" for lat, lng in places)
    (tmp_path / "own.csv").write_text(f"LAT,LON\n{rows}\n")
    own = Predictor.from_pretrained(release, cache_dir=cache, gallery=tmp_path / "own.csv")
    prediction = own.predict(images()[0])
    np.testing.assert_array_equal(prediction.posterior.latlng, np.float32([places[1], places[0]]))
    assert np.exp(prediction.posterior.log_prob).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, r"config.json: .*format_version=2: expected 'geoclip-geolocation' and 1"),
        ({"model_type": "bert"}, r"config.json: model_type='bert': expected 'geosurge_jax' or"),
        ({"gallery_file": "../x.csv"}, r"config.json: gallery_file='../x.csv': expected the name of a CSV"),
        ({"gallery_file": "none.csv"}, r"none.csv: not a readable CSV of places"),
        ({"backbone": {"repo_id": 3}}, r"config.json: backbone=.*: expected repo_id"),
    ],
)  # fmt: skip
def test_a_wrong_description_is_one_line(tmp_path, changes, message):
    folder = write_release(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ValueError, match=message) as error:
        Predictor.from_pretrained(folder, cache_dir=tmp_path / "cache")
    assert "\n" not in str(error.value)


def test_a_strange_tensor_is_named(tmp_path, oracle):
    from safetensors.numpy import save_file

    folder = write_release(tmp_path)
    save_file({**oracle.weights, "text.weight": np.ones(2)}, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"model.safetensors: unexpected tensor 'text.weight'"):
        Predictor.from_pretrained(folder, cache_dir=tmp_path / "cache")


def test_a_missing_backbone_says_what_to_fetch_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = write_release(tmp_path / "release", backbone=False)
    with pytest.raises(WeightsError) as error:
        Predictor.from_pretrained(folder, cache_dir=tmp_path / "cache", local_files_only=True)
    message = str(error.value)
    assert message.startswith("backbone='hf:somebody/small-clip@abc': cannot be downloaded")
    assert "config.json" in message and "model*.safetensors" in message and "\n" not in message


def test_a_backbone_of_another_width_is_refused(tmp_path, release):
    folder = write_release(tmp_path)
    config = json.loads((folder / "backbone/config.json").read_text())
    config["model_type"] = "clip_text_model"
    (folder / "backbone/config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="model_type='clip_text_model': expected one of"):
        Predictor.from_pretrained(folder, cache_dir=tmp_path / "cache")


def test_there_are_as_many_images_as_the_oracle_saw(oracle):
    assert sum(name.startswith("image_") for name in oracle.inputs) == IMAGES
