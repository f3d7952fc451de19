import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.models.location_encoder import (
    PROJECTIONS,
    LocationEncoder,
    LocationEncoderConfig,
    equal_earth,
    fourier_features,
    web_mercator,
)
from geosurge_jax.models.projection_head import ProjectionHead, ProjectionHeadConfig
from geosurge_jax.training.layout import plan_layout
from geosurge_jax.training.mesh import MeshConfig, make_mesh
from geosurge_jax.training.parameters import flatten
from tests.models.location_twin import float64_equal_earth

ULP = 2.0**-23  # of float32 at 1
CONFIG = LocationEncoderConfig(
    projection="equal_earth", sigmas=(1.0, 16.0, 256.0), frequencies=32, hidden=16, width=8
)


def places(count=500):
    rng = np.random.default_rng(0)
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    some = np.stack([latitude, rng.uniform(-180, 180, count)], 1)
    return np.concatenate([some, [[0, 0], [90, 0], [-90, 45], [10, 180], [10, -180]]]).astype(
        np.float32
    )


def float64_mercator(latlng):
    latitude, longitude = np.radians(latlng.astype(np.float64)).T
    north = np.log(np.tan(np.pi / 4 + latitude / 2))
    return np.stack([north, longitude], 1) * 6378137 / 20037508.342789244


def test_equal_earth_equals_a_float64_twin():
    given = np.asarray(jax.jit(equal_earth)(places()))
    np.testing.assert_allclose(given, float64_equal_earth(places()), atol=3 * ULP, rtol=0)
    assert 0.99 < np.abs(given[:, 0]).max() < 1.01
    # the published outline: the map is 2.05 times as wide as high, and a pole 0.59 times the equator
    (west_east, _), (_, north) = np.asarray(equal_earth(jnp.array([[0.0, 180], [90, 0]])))
    assert west_east / north == pytest.approx(2.05458, abs=1e-4)


def test_web_mercator_equals_a_float64_twin():
    chosen = places()[np.abs(places()[:, 0]) < 85.06]
    given = np.asarray(jax.jit(web_mercator)(chosen))
    np.testing.assert_allclose(given, float64_mercator(chosen), atol=16 * ULP, rtol=0)
    corner = web_mercator(jnp.array([[85.051129, -180.0]]))
    np.testing.assert_allclose(corner, [[1, -1]], atol=1e-6)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_poles_are_finite(projection):
    plane = np.asarray(PROJECTIONS[projection](jnp.array([[90.0, 180], [-90, -180], [90, 0]])))
    assert np.isfinite(plane).all() and plane[0].max() > 0 > plane[1].min()


@pytest.mark.parametrize("sigma", [1, 16, 256])
def test_fourier_features_equal_a_float64_twin(sigma):
    """Float32 rounds each of the two products and their sum by half a last place, and no more is lost."""
    rng = np.random.default_rng(1)
    frequencies = (sigma * rng.standard_normal((256, 2))).astype(np.float32)
    plane = float64_equal_earth(places()).astype(np.float32)
    cycles = plane.astype(np.float64) @ frequencies.T.astype(np.float64)
    expected = np.concatenate([np.cos(2 * np.pi * cycles), np.sin(2 * np.pi * cycles)], 1)
    given = np.asarray(jax.jit(fourier_features)(plane, frequencies))
    products = np.abs(plane[:, None, :] * frequencies[None]).sum(2)
    bound = 2 * np.pi * ULP * products + 4 * ULP
    assert (np.abs(given - expected) <= np.concatenate([bound, bound], 1)).all()
    assert np.abs(given - expected).max() < 5e-6 * max(sigma, 2)


def test_neighbours_are_told_apart_by_the_finest_capsule_alone():
    """30 m change the features of sigma 256 visibly and those of sigma 1 hardly."""
    pair = jnp.array([[47.0, 8.0], [47.00027, 8.0]])
    rng = np.random.default_rng(2)
    for sigma, least, most in ((1, 0, 1e-4), (256, 1e-3, 0.1)):
        frequencies = jnp.asarray(sigma * rng.standard_normal((64, 2)), jnp.float32)
        first, second = np.asarray(fourier_features(equal_earth(pair), frequencies))
        assert least < np.abs(first - second).max() < most


@pytest.fixture(scope="module")
def params():
    return LocationEncoder(CONFIG).init(jax.random.key(0), jnp.zeros((1, 2)))["params"]


def test_frequencies_are_drawn_at_their_sigma(params):
    for index, sigma in enumerate(CONFIG.sigmas):
        deviation = float(jnp.std(params[f"capsules_{index}"]["frequencies"]))
        assert 0.7 * sigma < deviation < 1.3 * sigma


def test_frequencies_alone_are_frozen(params):
    import re

    frozen = [path for path in flatten(params) if re.search(CONFIG.frozen_rules[0], path)]
    assert sorted(frozen) == [f"capsules_{index}/frequencies" for index in range(3)]


def test_the_mlp_may_be_bfloat16_but_not_the_phase(params):
    """In bfloat16 the phase of the finest capsule would be noise."""
    exact = LocationEncoder(CONFIG).apply({"params": params}, places())
    near = LocationEncoder(CONFIG, jnp.bfloat16).apply({"params": params}, places())
    assert near.dtype == jnp.bfloat16
    assert np.abs(near.astype(np.float32) - exact).max() < 0.05 * np.abs(exact).max()


def test_matrices_are_split_and_every_parameter_has_a_rule(params):
    mesh = make_mesh(MeshConfig(data=1, fsdp=4, model=2))
    head_config = ProjectionHeadConfig(hidden=8, width=4)
    head = ProjectionHead(head_config).init(jax.random.key(0), jnp.zeros((1, 6)))["params"]
    for config, values in ((CONFIG, params), (head_config, head)):
        for row in plan_layout(values, config.partition_rules, mesh):
            split = 4 if row.path.endswith("kernel") else 1
            assert row.bytes_per_device == int(np.prod(row.shape)) * 4 // split


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"projection": "robinson"}, "projection='robinson': expected one of"),
        ({"sigmas": ()}, r"sigmas=\(\): expected values above 0"),
        ({"sigmas": (1.0, 0.0)}, r"sigmas=\(1.0, 0.0\): expected values above 0"),
        ({"hidden": 0}, "hidden=0: expected 1 or more"),
    ],
)
def test_bad_choices_are_named(change, message):
    fine = dict(projection="web_mercator", sigmas=(1.0,), frequencies=1, hidden=1, width=1)
    LocationEncoderConfig(**fine)
    with pytest.raises(ValueError, match=f"^location encoder: {message}"):
        LocationEncoderConfig(**fine | change)
