"""`config.init_from`, from a directory on disk to the state of step 0 on a mesh."""

import json
import os

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from configs.geosurge import get_config
from geosurge_jax.experiment import assembly, train
from geosurge_jax.experiment.experiment_config import parse
from geosurge_jax.experiment.geography import Geography
from geosurge_jax.experiment.initialize import describe_weights, open_weights
from geosurge_jax.geo import build_hierarchy
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.training.parameters import flatten
from tests.parity.oracle import thaw


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return thaw("clip").write_directory(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def geography():
    rng = np.random.default_rng(0)
    latlng = np.stack([rng.uniform(-70, 70, 300), rng.uniform(-180, 179, 300)], axis=1)
    return Geography(build_hierarchy(latlng, max_images=(100, 30), min_images=4), {})


def config(source, **visual):
    changed = get_config("tiny")
    changed.init_from = str(source)
    preprocessor = thaw("clip").preprocessor
    changed.system.visual.preprocessing.update(
        mean=tuple(preprocessor["image_mean"]), deviation=tuple(preprocessor["image_std"])
    )
    changed.system.visual.update(trained_blocks=1, scan=True, **visual)
    changed.mesh.update(data=2, fsdp=2, model=2)
    changed.training.average_decay = 0.9
    return parse(changed.to_dict())


def test_towers_begin_with_the_file_and_the_rest_with_the_seed(directory, geography):
    states = {}
    for source in ("", directory):
        chosen = config(source)
        model = assembly.make_model(chosen, geography)
        with jax.set_mesh(model.mesh):
            plan = assembly.plan_training(chosen, model, 1, 1)
            states[source] = train.create_state(chosen, model, plan)
    begun, random = states[directory], states[""]
    weights = load_file(directory / "model.safetensors")
    block = begun.trained["visual"]["trained_blocks"]
    np.testing.assert_array_equal(
        block["mlp"]["up"]["kernel"][0], weights["vision_model.encoder.layers.1.mlp.fc1.weight"].T
    )
    np.testing.assert_array_equal(
        begun.frozen["visual"]["frozen_blocks"]["mlp"]["up"]["kernel"][0],
        weights["vision_model.encoder.layers.0.mlp.fc1.weight"].T,
    )
    assert "projection" not in begun.trained["visual"]
    for part in ("trained", "frozen"):
        ours, fresh = flatten(getattr(begun, part)), flatten(getattr(random, part))
        assert ours.keys() == fresh.keys()
        for path, array in ours.items():
            assert array.sharding == fresh[path].sharding, path
            if not path.startswith("visual/"):
                np.testing.assert_array_equal(array, fresh[path], err_msg=path)
    for path, array in flatten(begun.average).items():
        np.testing.assert_array_equal(array, flatten(begun.trained)[path], err_msg=path)
    kernel = block["mlp"]["up"]["kernel"]
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(1, 32, 32)}


def test_the_run_writes_down_which_file_it_was(directory, geography):
    model = assembly.make_model(config(directory), geography)
    shapes = jax.eval_shape(model.system.init, jax.random.key(0), model.system.probe)
    found = describe_weights(str(directory), model.system, shapes)
    import hashlib

    content = (directory / "model.safetensors").read_bytes()
    assert found == {"model.safetensors": hashlib.sha256(content).hexdigest()}
    assert describe_weights("", model.system, shapes) == {}


def test_a_file_that_is_not_sound_is_found_before_anything_is_written(
    directory, geography, tmp_path
):
    spoiled = thaw("clip").write_directory(tmp_path / "spoiled")
    weights = load_file(spoiled / "model.safetensors")
    weights["vision_model.encoder.layers.1.mlp.fc1.bias"][3] = np.nan
    save_file(weights, spoiled / "model.safetensors")
    model = assembly.make_model(config(spoiled), geography)
    shapes = jax.eval_shape(model.system.init, jax.random.key(0), model.system.probe)
    with pytest.raises(WeightsError, match="NaN or infinite:\n  not finite: vision_model.encoder"):
        describe_weights(str(spoiled), model.system, shapes)


def test_another_tower_is_refused_with_all_differences(directory, geography):
    chosen = config(directory, activation="gelu", patch=16)
    with pytest.raises(WeightsError) as caught:
        open_weights(chosen.init_from, assembly.make_model(chosen, geography).system)
    assert "config.system.visual.activation: 'gelu' -> 'quick_gelu'" in str(caught.value)
    assert "config.system.visual.patch: 16 -> 8" in str(caught.value)


def test_another_preprocessing_is_refused(directory, geography, tmp_path):
    other = thaw("clip").write_directory(tmp_path / "other")
    preprocessor = {**thaw("clip").preprocessor, "image_mean": [0.5, 0.5, 0.5]}
    (other / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    chosen = config(other)
    with pytest.raises(WeightsError, match="config.system.visual.preprocessing.mean: "):
        open_weights(chosen.init_from, assembly.make_model(chosen, geography).system)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "config.init_from='nowhere': no such directory"),
        ("hf:nobody/nothing", "config.init_from='hf:nobody/nothing': cannot be downloaded"),
        ("hf:not a name", "config.init_from='hf:not a name': cannot be downloaded"),
    ],
)
def test_a_source_that_is_not_there_ends_in_one_line(geography, monkeypatch, source, message):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    system = assembly.make_model(config(source), geography).system
    with pytest.raises(WeightsError, match=message) as caught:
        open_weights(source, system)
    assert "\n" not in str(caught.value)


def test_a_model_of_the_hub_is_found_in_its_cache(directory, geography, tmp_path, monkeypatch):
    """As the hub's library leaves it: links from a snapshot to blobs."""
    home = tmp_path / "models--somebody--clip"
    snapshot = home / "snapshots" / ("a" * 40)
    for folder in (snapshot, home / "blobs", home / "refs"):
        folder.mkdir(parents=True)
    (home / "refs/main").write_text("a" * 40)
    for number, path in enumerate(sorted(directory.iterdir())):
        (home / "blobs" / f"blob{number}").write_bytes(path.read_bytes())
        os.symlink(f"../../blobs/blob{number}", snapshot / path.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    system = assembly.make_model(config(directory), geography).system
    weights = open_weights("hf:somebody/clip", system)
    assert weights is not None and weights.stored.directory == snapshot


def test_a_model_of_no_known_architecture(directory, geography, tmp_path):
    other = thaw("clip").write_directory(tmp_path / "other")
    (other / "config.json").write_text('{"model_type": "bert"}')
    system = assembly.make_model(config(other), geography).system
    with pytest.raises(WeightsError, match="model_type 'bert', expected one of .'clip'"):
        open_weights(str(other), system)
