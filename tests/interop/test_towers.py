"""Image towers against frozen models of transformers, through files on disk."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.interop.family import Family, WeightsError
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import StoredModel, open_model
from geosurge_jax.interop.part import part_of
from geosurge_jax.interop.safetensors_file import open_safetensors, write_safetensors
from geosurge_jax.interop.writing import write_model
from geosurge_jax.models.tower import TowerConfig
from geosurge_jax.models.towers import make_tower
from geosurge_jax.training.parameters import flatten
from tests.parity.comparison import TOLERANCE, family_of, largest_differences, tower_shapes
from tests.parity.oracle import Oracle, thaw

FROZEN = (
    "clip", "clip_gelu", "clip_resized", "siglip", "siglip_resized", "siglip_uneven", "vit", "vit_resized",
    "dinov2", "dinov2_resized", "dinov2_registers", "dinov2_gated", "dinov3", "dinov3_gated", "swin-padded",
    "swin-whole", "resnet-basic", "resnet-bottleneck", "efficientnet-even", "efficientnet-odd",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A frozen model on disk and what became of it."""

    oracle: Oracle
    stored: StoredModel
    family: Family
    config: TowerConfig
    params: dict

    def part(self, config=None, **changes):
        config = config or self.config
        shapes = tower_shapes(config)
        return dataclasses.replace(part_of(self.stored, self.family, config, shapes), **changes)


def load(stored, oracle):
    family = family_of(stored.config["model_type"])
    config = family.read(stored.config, stored.preprocessor)
    part = part_of(stored, family, config, tower_shapes(config))
    return Loaded(oracle, stored, family, config, load_part(part))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """By name, each loaded once."""
    found = {}
    for name in FROZEN:
        oracle = thaw(name)
        directory = oracle.write_directory(tmp_path_factory.mktemp(name))
        found[name] = load(open_model(directory), oracle)
    return found


def written(directory, one, config, params):
    write_model(directory, one.family, config, jax.device_get(params))
    return open_safetensors(directory / "model.safetensors")


@pytest.mark.parametrize("name", FROZEN)
def test_every_named_intermediate_agrees(loaded, name):
    one = loaded[name]
    module = make_tower(one.config, jnp.float32)
    differences = largest_differences(one.oracle, module, one.params)
    assert {"tokens", "pooled"} < set(differences)
    assert max(differences.values()) <= TOLERANCE, differences


@pytest.mark.parametrize("name", FROZEN)
def test_tensors_go_back_under_the_same_names_in_the_same_bits(loaded, name, tmp_path):
    one = loaded[name]
    # Some oracles are whole classifiers, whose towers have a prefix.
    weights = {
        key.removeprefix(f"{one.family.name}."): array for key, array in one.oracle.weights.items()
    }
    tensors = written(tmp_path, one, one.config, one.params)
    no_parameters = r"mask_token|^pooler|^classifier|num_batches_tracked|relative_position_index"
    there = {key for key, value in weights.items() if value.size}
    assert set(tensors) == {key for key in there if not re.search(no_parameters, key)}
    for key, tensor in tensors.items():
        if name.endswith(("resized", "registers")) and "position" in key:
            continue  # brought to another resolution
        np.testing.assert_array_equal(tensor, weights[key], err_msg=key)


@pytest.mark.parametrize("name", FROZEN)
def test_a_written_description_reads_back_the_same(loaded, name):
    one = loaded[name]
    config, preprocessor = json.loads(json.dumps(one.family.write(one.config)))
    again = one.family.read(config, preprocessor)
    if name.startswith("clip"):
        # The projection is told of by the type of the whole model alone.
        again = dataclasses.replace(again, projection=one.config.projection)
    assert again == one.config


@pytest.mark.parametrize(("trained_blocks", "scan"), [(1, False), (1, True), (0, True), (-1, True)])
def test_stacks_are_filled_block_by_block(loaded, trained_blocks, scan, tmp_path):
    one = loaded["dinov2_gated"]
    config = dataclasses.replace(one.config, trained_blocks=trained_blocks, scan=scan)
    params = load_part(one.part(config))
    image = jnp.asarray(one.oracle.inputs["image"])
    tower = make_tower(config, jnp.float32)
    features = jax.jit(lambda p, i: tower.apply({"params": p}, i, train=False))(params, image)
    np.testing.assert_allclose(features.tokens, one.oracle.expected["tokens"], atol=1e-5)
    tensors = written(tmp_path / "stacked", one, config, params)
    for key, tensor in written(tmp_path / "plain", one, one.config, one.params).items():
        np.testing.assert_array_equal(tensors[key], tensor)


@pytest.mark.parametrize("trained_blocks", [-1, 0, 1])
@pytest.mark.parametrize("name", ["clip", "siglip", "vit", "dinov2_registers", "dinov3"])
def test_rules_name_every_parameter_of_every_design(loaded, name, trained_blocks):
    config = dataclasses.replace(loaded[name].config, trained_blocks=trained_blocks)
    paths = set(flatten(tower_shapes(config)))
    frozen = {path for path in paths for rule in config.frozen_rules if re.search(rule, path)}
    for rule in config.frozen_rules:
        assert any(re.search(rule, path) for path in paths), rule
    trained = {
        path
        for path in paths
        if path.startswith(("trained_blocks", "norm/", "pooling/", "projection/"))
    }
    assert frozen == {-1: set(), 0: paths, 1: paths - trained}[trained_blocks]
    for path in paths:
        assert any(re.search(rule, path) for rule, _ in config.partition_rules), path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 48}, "ViTSize.*width=48.*expected the dimensions of one of"),
        ({"hidden_act": "relu"}, "config.json: hidden_act='relu': expected one of"),
        ({"num_channels": 4}, "config.json: num_channels=4: expected 3"),
        ({"qkv_bias": False}, "config.json: qkv_bias=False: expected True"),
        ({"patch_size": "8"}, "config.json: patch_size='8': expected int"),
    ],
)
def test_variants_that_are_not_supported_are_named(loaded, change, message):
    one = loaded["vit"]
    with pytest.raises(WeightsError, match=message):
        one.family.read({**one.oracle.config, **change}, one.oracle.preprocessor)


def test_all_that_is_wrong_with_a_file_is_listed_at_once(loaded):
    part = loaded["clip"].part()
    tensors = dict(part.tensors)
    del tensors["vision_model.pre_layrnorm.weight"]
    tensors["vision_model.encoder.layers.2.mlp.fc1.bias"] = np.zeros(64, np.float32)
    tensors["vision_model.post_layernorm.bias"] = np.zeros(31, np.float32)
    tensors["vision_model.encoder.layers.0.mlp.fc1.bias"] = np.zeros(64, np.int64)
    with pytest.raises(WeightsError) as caught:
        load_part(dataclasses.replace(part, tensors=tensors))
    for line in (
        "not the weights of this clip",
        "missing: vision_model.pre_layrnorm.weight",
        "unexpected: vision_model.encoder.layers.2.mlp.fc1.bias",
        r"vision_model.post_layernorm.bias is [31], expected [32]",
        "vision_model.encoder.layers.0.mlp.fc1.bias is of type int64",
    ):
        assert line in str(caught.value)


@pytest.mark.parametrize(
    "shape", [(), (0,), (31,), (96,), (97, 32), (96, 31), (1, 96, 32), (95, 32)]
)
@pytest.mark.parametrize(
    "name",
    [
        "vision_model.head.attention.in_proj_weight",
        "vision_model.embeddings.position_embedding.weight",
        "vision_model.head.probe",
    ],
)
def test_shapes_that_do_not_fit_are_named_whatever_they_are(loaded, name, shape):
    tensors = {**loaded["siglip"].stored.tensors, name: np.zeros(shape, np.float32)}
    with pytest.raises(WeightsError, match=f"differs: {name} is"):
        load_part(loaded["siglip"].part(tensors=tensors))


def test_positions_of_no_square_grid_are_refused(loaded):
    part = loaded["clip"].part()
    name = "vision_model.embeddings.position_embedding.weight"
    tensors = {**part.tensors, name: np.zeros((16, 32), np.float32)}
    with pytest.raises(WeightsError, match=r"is \[16, 32\], expected \[17, 32\]"):
        load_part(dataclasses.replace(part, tensors=tensors))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(loaded, value):
    part = loaded["clip"].part()
    name = "vision_model.encoder.layers.1.mlp.fc1.bias"
    spoiled = np.array(part.tensors[name])
    spoiled[3] = value
    changed = dataclasses.replace(part, tensors={**part.tensors, name: spoiled})
    with pytest.raises(WeightsError, match="layers.1.mlp.fc1.bias holds weights that are NaN"):
        load_part(changed)


def test_the_prefix_of_a_larger_model_is_found(loaded):
    one = loaded["vit"]
    tensors = {f"vit.{name}": array for name, array in one.stored.tensors.items()}
    tensors["classifier.weight"] = np.zeros((10, 32), np.float32)
    again = load_part(one.part(tensors=tensors))
    for path, array in flatten(again).items():
        np.testing.assert_array_equal(array, flatten(one.params)[path])


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float64])
def test_files_of_other_precisions_become_float32(loaded, dtype, tmp_path):
    one = loaded["siglip"]
    tensors = {name: array.astype(dtype) for name, array in one.stored.tensors.items()}
    path = tmp_path / "model.safetensors"
    write_safetensors(path, tensors, {})
    params = flatten(load_part(one.part(tensors=open_safetensors(path))))
    for name, array in flatten(one.params).items():
        assert params[name].dtype == np.float32
        expected = np.asarray(array).astype(dtype).astype(np.float32)
        np.testing.assert_array_equal(params[name], expected, err_msg=name)
