import dataclasses

import jax
import numpy as np
import pytest

from geosurge_jax.interop.families.segformer import FAMILY
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.safetensors_file import open_safetensors
from geosurge_jax.interop.segmenter import load_segmenter
from geosurge_jax.interop.writing import write_model
from geosurge_jax.training.mesh import MeshConfig, make_mesh
from tests.parity.oracle import thaw

KEY = "--model"
NAME = "segformer-even"
NAMES = tuple(f"class {number}" for number in range(5))


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(MeshConfig(2, 2, 2))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, mesh):
    oracle = thaw(NAME)
    directory = oracle.write_directory(tmp_path_factory.mktemp(NAME))
    return oracle, load_segmenter(str(directory), KEY, mesh)


def test_a_directory_says_all_there_is_to_know(loaded):
    _, segmenter = loaded
    assert segmenter.class_names == NAMES
    assert segmenter.module.config == segmenter.config
    made = segmenter.preprocessing
    assert (made.image_size, made.resize, made.interpolation) == (64, "stretch", "bilinear")
    assert (made.mean, made.deviation) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert set(segmenter.identity) == {
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    }
    for leaf in jax.tree.leaves(segmenter.params):
        assert leaf.sharding.is_fully_replicated and len(leaf.sharding.device_set) == 8


def test_maps_of_a_batch_over_eight_devices_are_those_of_the_library(loaded):
    oracle, segmenter = loaded
    expected = [oracle.expected[f"map_{number}"] for number in range(2)] * 4
    image = np.concatenate([oracle.inputs["image"]] * 4)
    found = segmenter.maps(image, [one.shape for one in expected], 21)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_written_is_opened_again_in_the_same_bits(loaded, mesh, tmp_path):
    oracle, segmenter = loaded
    write_model(tmp_path, FAMILY, segmenter.config, jax.device_get(segmenter.params))
    tensors = open_safetensors(tmp_path / "model.safetensors")
    kept = {name for name in oracle.weights if not name.endswith("num_batches_tracked")}
    assert set(tensors) == kept
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, oracle.weights[name], err_msg=name)
    again = load_segmenter(str(tmp_path), KEY, mesh)
    assert again.config == segmenter.config


def test_missing_entries_hold_what_the_published_files_leave_out():
    labels = {"id2label": {str(number): "x" for number in range(150)}}
    config = FAMILY.read(labels, None)
    assert (config.size, len(config.class_names)) == ("B0", 150)
    assert config.preprocessing == FAMILY.read(labels, {}).preprocessing
    assert (config.preprocessing.image_size, config.preprocessing.resize) == (512, "stretch")
    # What the first published files say, of a time when the class was another and sizes were one number.
    old = {"feature_extractor_type": "SegformerFeatureExtractor", "reduce_labels": True}
    old |= {"do_resize": True, "do_normalize": True, "size": 640, "resample": 2}
    assert FAMILY.read(labels, old).preprocessing == dataclasses.replace(
        config.preprocessing, image_size=640
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_sizes": [8, 16, 24, 33]}, r"hidden_sizes=\[8, 16, 24, 33\].* not supported: exp"),
        ({"sr_ratios": [4, 4, 2, 1]}, r"sr_ratios=\[4, 4, 2, 1\] is not supported"),
        ({"hidden_act": "relu"}, "hidden_act='relu' is not supported: expected 'gelu'"),
        ({"mlp_ratios": [4, 4, 4, 2]}, r"mlp_ratios=\[4, 4, 4, 2\] is not supported"),
        ({"id2label": None}, "id2label=None: expected the names"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label has no name for class 1 of 2"),
        ({"id2label": {"0": "a", "1": 7}}, "id2label has no name for class 1 of 2"),
        ({"id2label": {str(n): "x" for n in range(256)}}, "256 classes: expected 1 to 255"),
    ],
)
def test_variants_are_refused_by_entry_and_value(change, message):
    with pytest.raises(WeightsError, match="^config.json: " + message):
        FAMILY.read({**thaw(NAME).config, **change}, None)


def test_other_models_and_other_heads_are_refused(mesh, tmp_path):
    oracle = thaw(NAME)
    other = dataclasses.replace(oracle, config={"model_type": "upernet"})
    other.write_directory(tmp_path / "other")
    with pytest.raises(WeightsError, match="model_type='upernet': expected one of .'segformer'"):
        load_segmenter(str(tmp_path / "other"), KEY, mesh)
    encoder = {k: v for k, v in oracle.weights.items() if k.startswith("segformer.")}
    dataclasses.replace(oracle, weights=encoder).write_directory(tmp_path / "encoder")
    with pytest.raises(WeightsError, match="missing: decode_head.batch_norm.bias"):
        load_segmenter(str(tmp_path / "encoder"), KEY, mesh)
    labels = {**oracle.config["id2label"], "5": "one more"}
    config = {**oracle.config, "id2label": labels}
    dataclasses.replace(oracle, config=config).write_directory(tmp_path / "classes")
    with pytest.raises(WeightsError, match=r"classifier.bias is \[5\], expected \[6\]"):
        load_segmenter(str(tmp_path / "classes"), KEY, mesh)
    with pytest.raises(WeightsError, match="--model='nothing': no such directory"):
        load_segmenter("nothing", KEY, mesh)
