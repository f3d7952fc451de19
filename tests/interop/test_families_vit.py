"""The Vision Transformers against frozen models of transformers, through files on disk."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.interop.families import TOWER_FAMILIES
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.loading import Part, load_part, to_tensors
from geosurge_jax.interop.model_directory import open_model
from geosurge_jax.models.towers import make_tower
from geosurge_jax.training.parameters import flatten
from tests.parity.comparison import largest_differences, shapes_of
from tests.parity.oracle import thaw

FROZEN = (
    "clip", "clip_gelu", "clip_resized", "siglip", "siglip_resized", "vit", "vit_resized", "dinov2",
    "dinov2_resized", "dinov2_registers", "dinov2_gated", "dinov3", "dinov3_gated",
)  # fmt: skip


def family_of(model_type):
    return next(one for one in TOWER_FAMILIES.values() if model_type in one.model_types)


def part_of(stored, config=None):
    family = family_of(stored.config["model_type"])
    config = config or family.read(stored.config, stored.preprocessor)
    side = config.preprocessing.image_size
    inputs = {"image": jnp.zeros((1, side, side, 3), jnp.uint8)}
    shapes = shapes_of(make_tower(config, jnp.float32), inputs)
    return Part(stored.tensors, stored.directory, family, config, shapes)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Oracle, part and parameters by name, each loaded once."""
    found = {}
    for name in FROZEN:
        oracle = thaw(name)
        directory = oracle.write_directory(tmp_path_factory.mktemp(name))
        part = part_of(open_model(directory))
        found[name] = oracle, part, load_part(part)
    return found


@pytest.mark.parametrize("name", FROZEN)
def test_every_named_intermediate_agrees(loaded, name):
    oracle, part, params = loaded[name]
    module = make_tower(part.config, jnp.float32)
    differences = largest_differences(oracle, module, params)
    assert {"tokens", "pooled", "blocks_00", "blocks_01"} <= set(differences)
    assert max(differences.values()) <= 1e-5, differences


@pytest.mark.parametrize("name", FROZEN)
def test_tensors_go_back_under_the_same_names_in_the_same_bits(loaded, name):
    oracle, part, params = loaded[name]
    tensors = to_tensors(jax.device_get(params), part.family, part.config)
    left_out = {"embeddings.mask_token", "pooler.dense.weight", "pooler.dense.bias"}
    there = {key for key, value in oracle.weights.items() if value.size}
    assert there - left_out <= set(tensors) <= there
    for key, tensor in tensors.items():
        if name.endswith(("resized", "registers")) and "position" in key:
            continue  # brought to another resolution
        np.testing.assert_array_equal(tensor, oracle.weights[key], err_msg=key)


@pytest.mark.parametrize("name", ["clip", "siglip", "vit", "dinov2", "dinov2_gated", "dinov3"])
def test_a_written_description_reads_back_the_same(loaded, name):
    _, part, _ = loaded[name]
    config, preprocessor = part.family.write(part.config)
    again = part.family.read(config, preprocessor)
    if name == "clip":
        # The projection is told of by the type of the whole model alone.
        again = dataclasses.replace(again, projection=part.config.projection)
    assert again == part.config


@pytest.mark.parametrize(("trained_blocks", "scan"), [(1, False), (1, True), (0, True), (-1, True)])
def test_stacks_are_filled_block_by_block(loaded, trained_blocks, scan):
    oracle, part, whole = loaded["dinov2_gated"]
    config = dataclasses.replace(part.config, trained_blocks=trained_blocks, scan=scan)
    shapes = shapes_of(
        make_tower(config, jnp.float32), {"image": jnp.asarray(oracle.inputs["image"])}
    )
    changed = dataclasses.replace(part, config=config, shapes=shapes)
    params = load_part(changed)
    module = make_tower(config, jnp.float32)
    features = module.apply({"params": params}, jnp.asarray(oracle.inputs["image"]), train=False)
    np.testing.assert_allclose(features.tokens, oracle.expected["tokens"], atol=1e-5)
    tensors = to_tensors(jax.device_get(params), part.family, config)
    for key, tensor in to_tensors(jax.device_get(whole), part.family, part.config).items():
        np.testing.assert_array_equal(tensors[key], tensor)


def test_rules_cover_every_design(loaded):
    """Each parameter lies by one rule, and each rule of freezing names a parameter."""
    import re

    for name, (_, part, params) in loaded.items():
        paths = set(flatten(params))
        for trained_blocks in (-1, 0, 1):
            config = dataclasses.replace(part.config, trained_blocks=trained_blocks)
            shapes = flatten(
                shapes_of(
                    make_tower(config, jnp.float32),
                    {"image": jnp.zeros((1, *config_side(config), 3), jnp.uint8)},
                )
            )
            for rule in config.frozen_rules:
                assert any(re.search(rule, path) for path in shapes), (name, rule)
            frozen = {p for p in shapes if any(re.search(r, p) for r in config.frozen_rules)}
            expected = {-1: 0, 0: len(shapes)}.get(trained_blocks)
            assert expected is None or len(frozen) == expected, (name, trained_blocks)
            for path in shapes:
                assert any(re.search(rule, path) for rule, _ in config.partition_rules), path
        assert paths


def config_side(config):
    return (config.preprocessing.image_size,) * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 48}, "ViTSize.*width=48.*expected the dimensions of one of"),
        ({"hidden_act": "relu"}, "config.json: hidden_act 'relu', expected one of"),
        ({"num_channels": 4}, "config.json: num_channels 4, expected 3"),
        ({"qkv_bias": False}, "config.json: qkv_bias False, expected True"),
        ({"patch_size": "8"}, "config.json: patch_size '8', expected a whole number"),
    ],
)
def test_variants_that_are_not_supported_are_named(loaded, change, message):
    oracle, part, _ = loaded["vit"]
    with pytest.raises(WeightsError, match=message):
        part.family.read({**oracle.config, **change}, oracle.preprocessor)


def test_all_that_is_wrong_with_a_file_is_listed_at_once(loaded):
    _, part, _ = loaded["clip"]
    tensors = dict(part.tensors)
    del tensors["vision_model.pre_layrnorm.weight"]
    tensors["vision_model.encoder.layers.2.mlp.fc1.bias"] = np.zeros(64, np.float32)
    tensors["vision_model.post_layernorm.bias"] = np.zeros(31, np.float32)
    tensors["vision_model.encoder.layers.0.mlp.fc1.bias"] = np.zeros(64, np.int64)
    with pytest.raises(WeightsError) as caught:
        load_part(dataclasses.replace(part, tensors=tensors))
    for line in (
        "not the weights of this clip model",
        "missing: vision_model.pre_layrnorm.weight",
        "unexpected: vision_model.encoder.layers.2.mlp.fc1.bias",
        r"vision_model.post_layernorm.bias is [31], expected [32]",
        "vision_model.encoder.layers.0.mlp.fc1.bias is of type int64",
    ):
        assert line in str(caught.value)


def test_positions_of_no_square_grid_are_refused(loaded):
    _, part, _ = loaded["clip"]
    name = "vision_model.embeddings.position_embedding.weight"
    tensors = {**part.tensors, name: np.zeros((16, 32), np.float32)}
    with pytest.raises(WeightsError, match=r"is \[16, 32\], expected \[17, 32\]"):
        load_part(dataclasses.replace(part, tensors=tensors))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(loaded, value):
    _, part, _ = loaded["clip"]
    name = "vision_model.encoder.layers.1.mlp.fc1.bias"
    spoiled = np.array(part.tensors[name])
    spoiled[3] = value
    changed = dataclasses.replace(part, tensors={**part.tensors, name: spoiled})
    with pytest.raises(WeightsError, match="layers.1.mlp.fc1.bias holds weights that are NaN"):
        load_part(changed)


def test_the_prefix_of_a_larger_model_is_found(loaded):
    oracle, part, params = loaded["vit"]
    tensors = {f"vit.{name}": array for name, array in part.tensors.items()}
    tensors["classifier.weight"] = np.zeros((10, 32), np.float32)
    again = load_part(dataclasses.replace(part, tensors=tensors))
    for path, array in flatten(again).items():
        np.testing.assert_array_equal(array, flatten(params)[path])
