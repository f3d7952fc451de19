from pathlib import Path

import chex
import jax
import numpy as np
import pytest

from geosurge_jax.interop import geoclip
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.geoclip import (
    image_head_entries,
    location_encoder_entries,
    read_image_head,
    read_location_encoder,
    read_logit_scale,
    write_part,
)
from geosurge_jax.interop.safetensors_file import open_safetensors
from geosurge_jax.interop.torch_file import open_torch
from geosurge_jax.models.location_encoder import PROJECTIONS, LocationEncoder
from geosurge_jax.models.projection_head import ProjectionHead
from tests.parity.oracle import thaw

REFERENCE = Path(__file__).resolve().parents[2].parent / "shared" / "reference"
needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="GeoCLIP's published files are not there"
)


def write(oracle, folder):
    (name,) = oracle.weights
    path = folder / name
    path.write_bytes(oracle.weights[name].tobytes())
    return path


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory):
    return write(thaw("location_encoder_equal_earth"), tmp_path_factory.mktemp("geoclip"))


@pytest.fixture(scope="module")
def head_file(tmp_path_factory):
    return write(thaw("geoclip_image_head"), tmp_path_factory.mktemp("geoclip"))


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_the_location_encoder_equals_a_float64_twin_in_torch(encoder_file, projection):
    """Float32's rounding of the plane grows with a capsule's frequencies, so its tolerance does too."""
    oracle = thaw(f"location_encoder_{projection}")
    config, params = read_location_encoder(encoder_file, projection)
    assert (config.sigmas, config.frequencies) == ((1.0, 16.0, 256.0), 8)
    assert (config.projection, config.hidden, config.width) == (projection, 12, 6)
    module = LocationEncoder(config)
    pooled, kept = jax.jit(lambda p, x: module.apply({"params": p}, x, capture_intermediates=True))(
        params, oracle.inputs["latlng"]
    )
    for index, tolerance in enumerate((1e-6, 3e-6, 1e-5)):
        name = f"capsules_{index}"
        ours = kept["intermediates"][name]["__call__"][0]
        np.testing.assert_allclose(
            ours, oracle.expected[name], atol=tolerance, rtol=0, err_msg=name
        )
    np.testing.assert_allclose(pooled, oracle.expected["pooled"], atol=1e-5, rtol=0)
    assert np.abs(oracle.expected["capsules_2"]).max() > 0.1


def test_the_image_head_equals_torch(head_file):
    oracle = thaw("geoclip_image_head")
    config, params = read_image_head(head_file)
    assert (config.hidden, config.width) == (8, 6)
    ours = ProjectionHead(config).apply({"params": params}, oracle.inputs["x"])
    np.testing.assert_allclose(ours, oracle.expected["pooled"], atol=1e-6, rtol=0)


def test_both_parts_go_out_and_come_back(encoder_file, head_file, tmp_path):
    config, encoder = read_location_encoder(encoder_file, "equal_earth")
    shape, head = read_image_head(head_file)
    written = tmp_path / "encoder.safetensors", tmp_path / "head.safetensors"
    write_part(written[0], jax.device_get(encoder), location_encoder_entries(config))
    write_part(written[1], jax.device_get(head), image_head_entries())
    for path, back in zip((encoder_file, head_file), written, strict=True):
        stored, tensors = open_torch(path), open_safetensors(back)
        assert set(tensors) == set(stored)
        for name, tensor in stored.items():
            np.testing.assert_array_equal(tensors[name], tensor)
    chex.assert_trees_all_equal(read_location_encoder(written[0], "equal_earth"), (config, encoder))
    chex.assert_trees_all_equal(read_image_head(written[1]), (shape, head))


def test_one_error_names_all_that_is_wrong(encoder_file, monkeypatch):
    tensors = dict(open_torch(encoder_file))
    del tensors["LocEnc1.capsule.3.bias"]
    tensors["LocEnc2.capsule.5.weight"] = np.zeros((12, 11), np.float32)
    tensors["LocEnc2.capsule.7.weight"] = np.zeros(3, np.float32)
    monkeypatch.setattr(geoclip, "open_torch", lambda path: tensors)
    with pytest.raises(WeightsError) as caught:
        read_location_encoder(encoder_file, "equal_earth")
    assert str(caught.value) == (
        f"{encoder_file}: not the weights of this location encoder:\n"
        "  missing: LocEnc1.capsule.3.bias\n"
        "  unexpected: LocEnc2.capsule.7.weight\n"
        "  differs: LocEnc2.capsule.5.weight is [12, 11], expected [12, 12]"
    )


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"LocEnc0.capsule.0.b": np.float32(1).reshape(())},
        {"LocEnc0.capsule.0.b": np.zeros((0, 2), np.float32)},
        {"LocEnc0.capsule.0.b": np.zeros((4, 2), np.float32)},
        {"LocEnc0.capsule.0.b": np.full((4, 2), np.nan, np.float32)},
        {"LocEnc7.head.0.weight": np.zeros((4, 2), np.float32)},
        {"0.weight": np.zeros(3, np.float32)},
        {"2.weight": np.float32(1).reshape(())},
    ],
)
def test_other_files_are_refused(tensors, monkeypatch):
    monkeypatch.setattr(geoclip, "open_torch", lambda path: tensors)
    for read in (lambda p: read_location_encoder(p, "equal_earth"), read_image_head):
        with pytest.raises(
            WeightsError, match=r"^some\.pth: not the weights of this .*\n  missing: "
        ):
            read(Path("some.pth"))


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"": np.zeros(2, np.float32)},
        {"": np.float32(np.nan).reshape(())},
        {"a": np.float32(1).reshape(()), "b": np.float32(1).reshape(())},
    ],
)
def test_a_logit_scale_is_one_number(tensors, monkeypatch):
    monkeypatch.setattr(geoclip, "open_torch", lambda path: tensors)
    with pytest.raises(WeightsError, match=r"^some\.pth: holds .*: expected one finite number$"):
        read_logit_scale(Path("some.pth"))


@needs_reference
def test_the_published_image_head():
    path = REFERENCE / "geoclip_image_encoder_mlp_weights.pth"
    config, params = read_image_head(path)
    assert (config.hidden, config.width) == (768, 512)
    x = np.random.default_rng(0).standard_normal((3, 768)).astype(np.float32)
    stored = {name: tensor.astype(np.float64) for name, tensor in open_torch(path).items()}
    hidden = np.maximum(x @ stored["0.weight"].T + stored["0.bias"], 0)
    expected = hidden @ stored["2.weight"].T + stored["2.bias"]
    ours = ProjectionHead(config).apply({"params": params}, x)
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)


@needs_reference
def test_the_published_logit_scale():
    """A temperature of 0.025."""
    scale = read_logit_scale(REFERENCE / "geoclip_logit_scale_weights.pth")
    assert scale == pytest.approx(3.681, abs=1e-3)
    assert np.exp(-scale) == pytest.approx(0.0252, abs=1e-4)
