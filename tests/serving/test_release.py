"""A released folder: what the card says, and that nothing is uploaded unless it is asked for."""

import json
from pathlib import Path

import numpy as np
import pytest

from geosurge_jax import Predictor
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.serving import release as releases
from geosurge_jax.serving.release import push_to_hub
from tests.serving.releases import images


@pytest.fixture
def hub(monkeypatch):
    """The calls that the hub's client gets, in place of a network."""
    calls = []

    class Api:
        def __init__(self, token=None):
            calls.append(("token", token))

        def create_repo(self, name, *, private, exist_ok):
            calls.append(("create", name, private, exist_ok))

        def upload_folder(self, *, repo_id, folder_path):
            calls.append(("upload", repo_id, sorted(p.name for p in Path(folder_path).iterdir())))

    monkeypatch.setattr(releases, "HfApi", Api)
    return calls


FILES = [
    "README.md", "config.json", "location_data.npz", "parameters.safetensors", "prepared.safetensors",
]  # fmt: skip


def test_a_release_opens_and_answers_the_same(predictor, tmp_path, cache, hub):
    folder = push_to_hub(
        predictor.model, "somebody/places", folder=tmp_path / "out", license_name="MIT"
    )
    assert sorted(path.name for path in folder.iterdir()) == FILES and not hub
    opened = Predictor.from_pretrained(folder, cache_dir=cache)
    found, expected = (one.predict(images()[0]).posterior for one in (opened, predictor))
    np.testing.assert_array_equal(found.log_prob, expected.log_prob)
    np.testing.assert_array_equal(found.latlng, expected.latlng)
    assert opened.describe()["license"] == "MIT"
    card = (folder / "README.md").read_text()
    for text in (
        "license: mit\n", 'Predictor.from_pretrained("hf:somebody/places")', "MP-16",
        "Do not use this model to find, follow or expose people", "somebody/small-clip at revision abc",
        "Nothing has been measured with this model by its publisher.",
    ):  # fmt: skip
        assert text in card
    assert "synthetic" not in card


def test_only_an_explicit_request_uploads(predictor, tmp_path, hub):
    push_to_hub(
        predictor.model, "a/b", folder=tmp_path / "b", license_name="MIT", upload=True, token="t"
    )
    assert hub == [("token", "t"), ("create", "a/b", True, True), ("upload", "a/b", FILES)]


def test_a_failed_upload_leaves_the_folder(predictor, tmp_path, monkeypatch):
    class Api:
        def __init__(self, token=None):
            raise ConnectionError("no\nroute")

    monkeypatch.setattr(releases, "HfApi", Api)
    with pytest.raises(WeightsError, match=r"could not be uploaded \(ConnectionError: no route\)"):
        push_to_hub(predictor.model, "a/b", folder=tmp_path / "b", license_name="MIT", upload=True)
    assert (tmp_path / "b" / "README.md").is_file()


@pytest.mark.parametrize("name", ["places", "a/b/c", "/b", "a/"])
def test_a_name_is_of_an_owner_and_a_model(predictor, tmp_path, name):
    with pytest.raises(ValueError, match=f"name='{name}': expected ORG/NAME"):
        push_to_hub(predictor.model, name, folder=tmp_path / "b", license_name="MIT")


def test_an_existing_folder_is_left_alone(predictor, tmp_path):
    with pytest.raises(ValueError, match="exists already; expected a new one"):
        push_to_hub(predictor.model, "a/b", folder=tmp_path, license_name="MIT")
    assert not [*tmp_path.iterdir()]


def test_the_measured_table_stands_with_its_protocol(tmp_path):
    from geosurge_jax.serving.model_card import _accuracy

    accuracy = [{"value": share} for share in (0.1, 0.25)]
    scores = {"accuracy": accuracy, "count": 1200, "median_km": {"value": 1234.5}}
    found = {
        "planet/test": {
            "radii_km": [200.0, 2500.0], "scores": scores, "protocol": "sphere_6371",
            "comparison": "<=", "decision": "top",
        }
    }  # fmt: skip
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(found))
    text = _accuracy(path)
    assert "| data set | images | 200 km | 2500 km | median error |" in text
    assert "| planet/test | 1,200 | 10.0 % | 25.0 % | 1,234 km |" in text
    assert "(sphere_6371, distance <= radius), decision rule `top`" in text
    path.write_text("[]")
    with pytest.raises(WeightsError, match=r"scores.json: not the scores of a run"):
        _accuracy(path)
