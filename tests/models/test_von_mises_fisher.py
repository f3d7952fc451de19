from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.models.von_mises_fisher import (
    VonMisesFisherComponents,
    concentration_of_spread,
    log_density,
    mixture_log_density,
    mixture_log_density_on,
)
from geosurge_jax.training.mesh import MeshConfig, make_mesh

CONCENTRATIONS = (1e-3, 0.1, 1.0, 30.0, 1e3, 1e6)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def log_density_float64(points, direction, concentration):
    """Fisher's own form, which overflows beyond 700: sinh's logarithm is written out for large values."""
    log_sinh = np.where(
        concentration < 300,
        np.log(np.sinh(np.minimum(concentration, 300))),
        concentration - np.log(2),
    )
    return (
        np.log(concentration)[None]
        - np.log(4 * np.pi)
        - log_sinh[None]
        + concentration[None] * (points @ direction.T)
    )


def test_density_is_fishers_at_all_concentrations():
    rng = np.random.default_rng(0)
    direction = unit(rng.normal(size=(6, 3)))
    concentration = np.array(CONCENTRATIONS)
    # For each component a point at a typical distance, and some far away.
    near = unit(direction + rng.normal(size=(6, 3)) / np.sqrt(concentration)[:, None])
    points = np.concatenate([near, unit(rng.normal(size=(5, 3)))])
    found = log_density(
        jnp.asarray(points, jnp.float32),
        jnp.asarray(direction, jnp.float32),
        jnp.log(jnp.asarray(concentration, jnp.float32)),
    )
    expected = log_density_float64(points, direction, concentration)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-3)


@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_density_integrates_to_one(concentration):
    """Gauss-Legendre in h = 1 - cos(angle), whose measure is 2 pi dh, over all of it that has mass."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    reach = min(2.0, 40.0 / concentration)
    h = (nodes + 1) * reach / 2
    sine = np.sqrt(h * (2 - h))
    points = np.stack([sine, np.zeros_like(h), 1 - h], axis=-1)
    density = np.exp(
        log_density(
            jnp.asarray(points, jnp.float32),
            jnp.asarray([[0.0, 0.0, 1.0]]),
            jnp.log(jnp.asarray([concentration], jnp.float32)),
        )
    )[:, 0]
    integral = 2 * np.pi * np.sum(weights * density) * reach / 2
    assert integral == pytest.approx(1, abs=2e-4)


def test_a_hundred_metres_count():
    """Where 1 - cos in float32 would be 0 or 1.2e-7, and nothing between."""
    metres = np.array([10.0, 100.0, 1000.0])
    angle = metres / 6371e3
    points = np.stack([np.sin(angle), np.zeros(3), np.cos(angle)], axis=-1)
    concentration = concentration_of_spread(1000.0 / 6371e3)
    found = log_density(
        jnp.asarray(points, jnp.float32),
        jnp.asarray([[0.0, 0.0, 1.0]]),
        jnp.log(jnp.asarray([concentration], jnp.float32)),
    )[:, 0]
    expected = np.log(concentration / (2 * np.pi)) - 0.5 * (metres / 1000) ** 2
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(1)
    components = VonMisesFisherComponents(
        components=13,
        row_multiple=8,
        directions=unit(rng.normal(size=(13, 3))).astype(np.float32),
        concentration=50.0,
    )
    params: dict[str, Any] = dict(components.init(jax.random.key(0))["params"])
    params["log_concentration"] += jnp.asarray(rng.normal(size=16), jnp.float32)
    direction, log_concentration = components.apply({"params": params})  # pyright: ignore
    scores = jnp.asarray(rng.normal(size=(8, 16)), jnp.float32).at[:, 13:].set(-1e9)
    return scores, direction, log_concentration


def mixture_float64(mixture, points):
    scores, direction, log_concentration = (np.asarray(part, np.float64) for part in mixture)
    weights = np.exp(scores[:, :13]) / np.exp(scores[:, :13]).sum(axis=1, keepdims=True)
    density = np.exp(log_density_float64(points, direction[:13], np.exp(log_concentration[:13])))
    return weights @ density.T


def test_components_start_where_they_are_told(mixture):
    _, direction, _ = mixture
    assert direction.shape == (16, 3)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        direction[:13], unit(np.random.default_rng(1).normal(size=(13, 3))), atol=1e-6
    )


def test_mixture_is_the_weighted_sum_of_densities(mixture):
    points = unit(np.random.default_rng(2).normal(size=(8, 3)))
    expected = np.diagonal(mixture_float64(mixture, points))
    scores, direction, log_concentration = mixture
    found = jax.jit(mixture_log_density)(
        scores, jnp.asarray(points, jnp.float32), direction, log_concentration
    )
    np.testing.assert_allclose(found, np.log(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("points_at_a_time", [4, 5, 1024])
def test_mixture_on_a_support_does_not_depend_on_the_blocks(mixture, points_at_a_time):
    support = unit(np.random.default_rng(3).normal(size=(12, 3)))
    expected = np.log(mixture_float64(mixture, support))
    scores, direction, log_concentration = mixture
    found = jax.jit(mixture_log_density_on, static_argnums=(4, 5))(
        jnp.asarray(support, jnp.float32),
        scores,
        direction,
        log_concentration,
        13,
        points_at_a_time,
    )
    assert found.shape == (8, 12)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_padding_has_no_say_where_it_is_densest():
    """Padded rows lie at the pole: a point there is to be told by the components, however far."""
    south = unit(np.array([[0.1, 0.0, -1.0], [0.0, 0.2, -1.0]]))
    direction = np.concatenate([south, [[0.0, 0.0, 1.0]]])
    concentration = np.array([60.0, 90.0, 1e4])
    pole = direction[2:]
    weights = np.array([[0.25, 0.75]])
    expected = np.log(weights @ np.exp(log_density_float64(pole, south, concentration[:2])).T)
    found = mixture_log_density_on(
        jnp.asarray(pole, jnp.float32),
        jnp.asarray([[0.0, np.log(3), -1e9]], jnp.float32),
        jnp.asarray(direction, jnp.float32),
        jnp.log(jnp.asarray(concentration, jnp.float32)),
        2,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_every_mesh_gives_the_same_and_no_component_is_gathered(mixture):
    scores, direction, log_concentration = mixture
    points = jnp.asarray(unit(np.random.default_rng(2).normal(size=(8, 3))), jnp.float32)

    def both(scores, points, direction, log_concentration):
        own = mixture_log_density(scores, points, direction, log_concentration)
        shared = mixture_log_density_on(points, scores, direction, log_concentration, 13, 4)
        return own, shared

    expected = jax.jit(both)(scores, points, direction, log_concentration)
    for shape in ((2, 2, 2), (1, 1, 8)):
        mesh = make_mesh(MeshConfig(*shape))
        rows = jax.sharding.PartitionSpec(("fsdp", "model"))
        with jax.set_mesh(mesh):
            put = [
                jax.device_put(part, jax.sharding.NamedSharding(mesh, spec))
                for part, spec in (
                    (scores, jax.sharding.PartitionSpec("data", ("fsdp", "model"))),
                    (points, jax.sharding.PartitionSpec(("data", "fsdp", "model"))),
                    (direction, rows),
                    (log_concentration, rows),
                )
            ]
            compiled = jax.jit(both).lower(*put).compile()
            found = compiled(*put)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
        assert "f32[16,3]" not in str(compiled.as_text())


def test_gradients_are_finite_where_components_are_wide_or_narrow():
    scores = jnp.zeros((2, 4))
    points = jnp.asarray(unit(np.random.default_rng(4).normal(size=(2, 3))), jnp.float32)
    direction = jnp.asarray(unit(np.random.default_rng(5).normal(size=(4, 3))), jnp.float32)
    logs = jnp.log(jnp.asarray([1e-3, 1.0, 1e4, 1e6], jnp.float32))
    gradient = jax.grad(
        lambda *parts: mixture_log_density(parts[0], points, *parts[1:]).sum(), argnums=(0, 1, 2)
    )
    gradients = jax.jit(gradient)(scores, direction, logs)
    for part in gradients:
        assert np.all(np.isfinite(part)) and np.abs(part).max() > 0
