import json
import pathlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.model_directory import open_model

CONFIG = {"model_type": "vit", "hidden_size": 4}
FIRST = {"a.weight": np.arange(3, dtype=np.float32)}
SECOND = {"b.weight": np.ones((2, 2), np.float16)}
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def write_index(directory, weight_map):
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 20}, "weight_map": weight_map}))


@pytest.fixture
def sharded(directory):
    save_file(FIRST, directory / SHARDS[0])
    save_file(SECOND, directory / SHARDS[1])
    write_index(directory, {"a.weight": SHARDS[0], "b.weight": SHARDS[1]})
    return directory


def frozen(name):
    return (pathlib.Path(__file__).parent / "frozen" / name).read_bytes()


def test_one_file(directory):
    save_file(FIRST, directory / "model.safetensors")
    (directory / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    model = open_model(directory)
    assert model.config == CONFIG and model.preprocessor == {"image_mean": [0.5, 0.5, 0.5]}
    assert model.directory == directory
    np.testing.assert_array_equal(model.tensors["a.weight"], FIRST["a.weight"])
    assert model.files == {"a.weight": directory / "model.safetensors"}


def test_shards(sharded):
    model = open_model(sharded)
    assert model.preprocessor is None and set(model.tensors) == {"a.weight", "b.weight"}
    np.testing.assert_array_equal(model.tensors["b.weight"], SECOND["b.weight"])
    assert model.files["b.weight"] == sharded / SHARDS[1]


def test_files_of_torch(directory):
    (directory / "pytorch_model-00001-of-00001.bin").write_bytes(frozen("legacy.bin"))
    weight_map = {"embedding.weight": "pytorch_model-00001-of-00001.bin"}
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert len(open_model(directory).tensors) == 15
    (directory / "pytorch_model.bin").write_bytes(frozen("zip.pth"))
    model = open_model(directory)
    assert model.files["embedding.weight"].name == "pytorch_model.bin"


def test_safetensors_are_preferred(sharded):
    (sharded / "pytorch_model.bin").write_bytes(b"not even looked at")
    assert open_model(sharded).files["a.weight"].name == SHARDS[0]
    save_file(FIRST, sharded / "model.safetensors")
    assert open_model(sharded).files["a.weight"].name == "model.safetensors"


def test_the_cache_of_hugging_face(tmp_path):
    model = tmp_path / "models--openai--clip"
    snapshot, blobs = model / "snapshots" / "abc123", model / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "0a1b").write_text(json.dumps(CONFIG))
    save_file(FIRST, blobs / "2c3d")
    (snapshot / "config.json").symlink_to("../../blobs/0a1b")
    (snapshot / "model.safetensors").symlink_to("../../blobs/2c3d")
    assert open_model(snapshot).files["a.weight"] == snapshot / "model.safetensors"
    link = tmp_path / "clip"
    link.symlink_to(snapshot)
    assert set(open_model(link).tensors) == {"a.weight"}
    (tmp_path / "outside.json").write_text("{}")
    (snapshot / "preprocessor_config.json").symlink_to("../../../outside.json")
    with pytest.raises(WeightsError, match="preprocessor_config.json: is a link that leads out of"):
        open_model(snapshot)


def test_what_is_missing_is_named(tmp_path):
    for prepare, reason in [
        (lambda: None, "model: no such directory"),
        (lambda: (tmp_path / "model").mkdir(), "model/config.json: no such file"),
        (
            lambda: (tmp_path / "model/config.json").write_text("{}"),
            "model: no weights, one of model.safetensors, .*pytorch_model.bin.index.json was expected",
        ),
    ]:
        prepare()
        with pytest.raises(WeightsError, match=reason):
            open_model(tmp_path / "model")


def test_shards_that_do_not_hold_what_the_index_says(sharded):
    write_index(sharded, {"a.weight": SHARDS[0], "c.weight": SHARDS[1]})
    with pytest.raises(WeightsError, match=f"{SHARDS[1]}: no tensor 'c.weight', which model"):
        open_model(sharded)
    write_index(sharded, {"a.weight": SHARDS[1], "b.weight": SHARDS[1]})
    with pytest.raises(WeightsError, match=f"{SHARDS[1]}: no tensor 'a.weight'"):
        open_model(sharded)
    save_file(FIRST | SECOND, sharded / SHARDS[1])
    write_index(sharded, {"a.weight": SHARDS[0], "b.weight": SHARDS[1]})
    with pytest.raises(
        WeightsError, match=f"{SHARDS[1]}: tensor 'a.weight' is in .*{SHARDS[0]} too"
    ):
        open_model(sharded)
    (sharded / SHARDS[1]).unlink()
    with pytest.raises(WeightsError, match=f"{SHARDS[1]}: no such file"):
        open_model(sharded)
