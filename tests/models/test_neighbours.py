import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from geosurge_jax.compilation.collectives import collective_runs, gathers_of_rows
from geosurge_jax.compilation.program import parse_program
from geosurge_jax.models import neighbours
from geosurge_jax.models.geocell_table import MASKED_SCORE
from geosurge_jax.models.neighbours import (
    NO_SIMILARITY,
    kernel_log_density,
    nearest_rows,
    neighbour_log_weights,
)
from geosurge_jax.training.mesh import MeshConfig, make_mesh

PHOTOS, ROWS, WIDTH, K = 16, 104, 7, 5
MESHES = [(8, 1, 1), (2, 2, 2), (1, 1, 8), (1, 4, 2)]


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def index():
    rng = np.random.default_rng(0)
    valid = np.ones(ROWS, np.float32)
    valid[-9:] = 0
    return {
        "queries": unit(rng.normal(size=(PHOTOS, WIDTH))).astype(np.float32),
        "rows": unit(rng.normal(size=(ROWS, WIDTH))).astype(np.float32),
        "payload": np.stack([np.arange(ROWS), -np.arange(ROWS)], axis=1).astype(np.float32),
        "valid": valid,
    }


def brute_force(index, k):
    """Similarities and row numbers by a full sort in float64."""
    similarity = index["queries"].astype(np.float64) @ index["rows"].astype(np.float64).T
    similarity[:, index["valid"] == 0] = -np.inf
    order = np.argsort(-similarity, axis=1)[:, :k]
    return np.take_along_axis(similarity, order, axis=1), order


def search(index, k):
    return nearest_rows(index["queries"], index["rows"], index["payload"], index["valid"], k)


def compiled_on(shape, index, k):
    mesh = make_mesh(MeshConfig(*shape))
    specs = {"queries": PartitionSpec(("data", "fsdp", "model"))}
    table = PartitionSpec(("fsdp", "model"))
    with jax.set_mesh(mesh):
        put = {
            name: jax.device_put(value, NamedSharding(mesh, specs.get(name, table)))
            for name, value in index.items()
        }
        compiled = jax.jit(search, static_argnums=1).lower(put, k).compile()
        return compiled, compiled(put)


@pytest.mark.parametrize("rows_at_a_time", [1, 13, 50, 103])
@pytest.mark.parametrize("k", [K, 60])
def test_a_block_after_another_finds_the_nearest(index, k, rows_at_a_time, monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS_AT_A_TIME", rows_at_a_time)
    similarity, payload = jax.jit(lambda: search(index, k))()
    expected, order = brute_force(index, k)
    np.testing.assert_allclose(similarity, expected, atol=1e-6)
    np.testing.assert_array_equal(payload[..., 0], order)


def test_blocks_on_a_mesh_find_the_nearest(index, monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS_AT_A_TIME", 8)
    _, (similarity, payload) = compiled_on((2, 2, 2), index, K)
    expected, order = brute_force(index, K)
    np.testing.assert_allclose(similarity, expected, atol=1e-6)
    np.testing.assert_array_equal(payload[..., 0], order)


def test_one_device_finds_the_nearest(index):
    similarity, payload = jax.jit(search, static_argnums=1)(index, K)
    expected, order = brute_force(index, K)
    np.testing.assert_allclose(similarity, expected, atol=1e-6)
    np.testing.assert_array_equal(payload[..., 0], order)
    np.testing.assert_array_equal(payload[..., 1], -order)


@pytest.mark.parametrize("k", [K, 60])
@pytest.mark.parametrize("shape", MESHES)
def test_every_mesh_finds_the_nearest(index, shape, k):
    """With 60 no device alone has so many rows where they are split eightfold."""
    _, (similarity, payload) = compiled_on(shape, index, k)
    expected, order = brute_force(index, k)
    np.testing.assert_allclose(similarity, expected, atol=1e-6)
    np.testing.assert_array_equal(payload[..., 0], order)


@pytest.mark.parametrize("shape", MESHES[1:])
def test_the_index_is_not_gathered(index, shape):
    compiled, _ = compiled_on(shape, index, K)
    program = parse_program(str(compiled.as_text()))
    assert not gathers_of_rows(program, ROWS)
    parts = shape[1] * shape[2]
    # Each device's photos, with k candidates from each of the parts: similarities and two numbers.
    candidates = {"all-to-all": 4 * 3 * K * PHOTOS // shape[0] * (parts - 1) / parts}
    vectors = 4 * WIDTH * PHOTOS // shape[0]
    for run in collective_runs(program):
        assert run.bytes_received <= candidates.get(run.kind, vectors), run


def test_more_than_there_are(index):
    similarity, payload = jax.jit(search, static_argnums=1)(index, 1000)
    assert similarity.shape == (PHOTOS, ROWS) and payload.shape == (PHOTOS, ROWS, 2)
    assert np.all(np.asarray(similarity)[:, -9:] == NO_SIMILARITY)
    assert np.all(np.asarray(similarity)[:, :-9] > NO_SIMILARITY)


def test_rows_that_do_not_split_are_refused(index):
    with jax.set_mesh(make_mesh(MeshConfig(1, 1, 8))):
        with pytest.raises(ValueError, match="16 queries and 101 rows do not split over the mesh"):
            cut = {n: v if n == "queries" else v[:101] for n, v in index.items()}
            jax.eval_shape(lambda: search(cut, K))


def test_weights_are_powers_of_squared_distances():
    a, b = unit(np.random.default_rng(1).normal(size=(2, 20, 5)))
    cosine = (a * b).sum(axis=1)
    found = neighbour_log_weights(jnp.asarray(cosine[None], jnp.float32), 10.0)
    expected = np.log(np.sum((a - b) ** 2, axis=1) ** -10.0)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-4)
    edges = np.asarray(neighbour_log_weights(jnp.asarray([[1.0, NO_SIMILARITY]]), 10.0))[0]
    assert np.isfinite(edges[0]) and edges[0] > 100 and edges[1] == MASKED_SCORE


def test_kernel_density_is_the_double_sum():
    rng = np.random.default_rng(2)
    vectors = unit(rng.normal(size=(3, 6, 3)))
    vectors[0, 1] = vectors[0, 0]
    weights = rng.uniform(0.1, 2.0, size=(3, 6))
    weights[2, 4:] = 0
    expected = np.zeros((3, 6))
    for photo in range(3):
        for i in range(6):
            for j in range(6):
                cosine = np.clip(vectors[photo, i] @ vectors[photo, j], -1, 1)
                expected[photo, i] += weights[photo, j] * np.exp(
                    -0.5 * np.arccos(cosine) ** 2 / 0.49
                )
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(weights), MASKED_SCORE)
    expected = np.where(weights > 0, np.log(expected), MASKED_SCORE)
    found = jax.jit(kernel_log_density, static_argnums=2)(
        jnp.asarray(vectors, jnp.float32), jnp.asarray(logs, jnp.float32), 0.7
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
