import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geosurge_jax.models.gallery import gallery_log_prob, gallery_vectors
from geosurge_jax.training.mesh import MeshConfig, make_mesh

PLACES, BLOCK, WIDTH, SCALE = 201, 16, 12, 30.0
COLLECTIVE = re.compile(r" (all-gather|all-reduce|all-to-all|collective-permute)(-start)?\(")


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    latlng = np.stack([rng.uniform(-90, 90, PLACES), rng.uniform(-180, 180, PLACES)], axis=1)
    matrix = rng.normal(size=(2, WIDTH)).astype(np.float32)
    queries = rng.normal(size=(8, WIDTH))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return latlng.astype(np.float32), matrix, queries.astype(np.float32)


def expected(latlng, matrix, queries):
    vectors = np.sin(latlng.astype(np.float64) @ matrix.astype(np.float64) / 50)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = SCALE * queries.astype(np.float64) @ vectors.T
    top = scores.max(axis=1, keepdims=True)
    return vectors, scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))


def encode_with(matrix):
    def encode(latlng):
        assert latlng.shape == (BLOCK, 2), "memory does not grow with the gallery"
        vectors = jnp.sin(latlng @ matrix / 50)
        return vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)

    return encode


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 2), (1, 4, 2), (8, 1, 1)])
def test_every_mesh_gives_the_plain_softmax(world, shape):
    latlng, matrix, queries = world
    mesh = make_mesh(MeshConfig(*shape), jax.devices()[: int(np.prod(shape))])
    with jax.set_mesh(mesh):
        vectors = jax.jit(lambda: gallery_vectors(encode_with(matrix), latlng, BLOCK))()
        log_prob = jax.jit(gallery_log_prob, static_argnums=3)(queries, vectors, SCALE, PLACES)
    expected_vectors, expected_log_prob = expected(latlng, matrix, queries)
    np.testing.assert_allclose(vectors[:PLACES], expected_vectors, atol=3e-6)
    np.testing.assert_allclose(log_prob, expected_log_prob, atol=3e-4)
    shards = shape[1] * shape[2]
    assert {s.data.shape[0] for s in vectors.addressable_shards} == {vectors.shape[0] // shards}


def test_the_gallery_is_never_gathered(world):
    latlng, matrix, queries = world
    with jax.set_mesh(make_mesh(MeshConfig(2, 2, 2))):
        vectors = jax.jit(lambda: gallery_vectors(encode_with(matrix), latlng, BLOCK))()
        lowered = jax.jit(gallery_log_prob, static_argnums=3).lower(queries, vectors, SCALE, PLACES)
        text = lowered.compile().as_text()
    collectives = [line for line in text.splitlines() if COLLECTIVE.search(line)]
    assert collectives, "the mesh has something to say"
    assert not [line for line in collectives if f"[{vectors.shape[0]},{WIDTH}]" in line]
