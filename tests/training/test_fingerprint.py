import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from geosurge_jax.training.fingerprint import fingerprint, fingerprints, leaf_types
from geosurge_jax.training.mesh import MeshConfig, make_mesh

MESHES = ((1, 1, 1), (8, 1, 1), (2, 2, 2), (1, 1, 8))
SPECS = (
    PartitionSpec(),
    PartitionSpec("data"),
    PartitionSpec(None, "model"),
    PartitionSpec(("fsdp", "model")),
)


def mesh_of(shape):
    return make_mesh(MeshConfig(*shape), jax.devices()[: int(np.prod(shape))])


def put(array, mesh, spec=SPECS[0]):
    return jax.device_put(array, NamedSharding(mesh, spec))


def twin(array):
    """The same by the definition, in Python's unbounded integers, element by element."""
    array = np.ascontiguousarray(array)
    bits = array.reshape(-1).view({1: np.uint8, 2: np.uint16, 4: np.uint32}[array.itemsize])
    total = 0
    for position, word in enumerate(bits.tolist()):
        x = word ^ (position * 0x9E3779B9) % 2**32
        x = ((x ^ x >> 16) * 0x85EBCA6B) % 2**32
        x = ((x ^ x >> 13) * 0xC2B2AE35) % 2**32
        total += x ^ x >> 16
    return total % 2**32


def arrays():
    rng = np.random.default_rng(0)
    return {
        "float": rng.standard_normal((16, 24)).astype(np.float32),
        "cube": rng.standard_normal((16, 8, 3)).astype(np.float32),
        "bfloat": np.asarray(jnp.asarray(rng.standard_normal((16, 8)), jnp.bfloat16)),
        "int": rng.integers(-(2**31), 2**31, (16, 8)).astype(np.int32),
        "special": np.resize(np.float32([np.nan, -0.0, np.inf, 1e-45]), (16, 8)),
    }


@pytest.mark.parametrize("shape", MESHES)
def test_every_mesh_and_sharding_gives_what_the_definition_gives(shape):
    mesh, expected = mesh_of(shape), {name: twin(array) for name, array in arrays().items()}
    for spec in SPECS:
        found = fingerprints({name: put(array, mesh, spec) for name, array in arrays().items()})
        assert found == expected, spec


def test_scalars_keys_and_paths():
    mesh = mesh_of((1, 1, 1))
    key = jax.random.key(3)
    tree = {"step": put(np.int32(7), mesh), "moments": (put(np.zeros(3, np.uint8), mesh), None)}
    found = fingerprints({**tree, "key": put(key, mesh)})
    assert found == {
        "step": twin(np.int32(7)),
        "moments/0": twin(np.zeros(3, np.uint8)),
        "key": twin(jax.random.key_data(key)),
    }
    assert leaf_types(tree) == {"step": "int32[]", "moments/0": "uint8[3]"}
    with pytest.raises(TypeError, match=r"complex64.*1, 2 or 4 bytes"):
        fingerprints({"x": put(np.zeros(3, np.complex64), mesh)})


def test_every_flipped_bit_is_seen():
    mesh = mesh_of((1, 1, 1))
    array = np.random.default_rng(1).standard_normal(5).astype(np.float32)
    seen = {fingerprints({"x": put(array, mesh)})["x"]}
    for bit in range(array.size * 32):
        flipped = array.view(np.uint32).copy()
        flipped[bit // 32] ^= np.uint32(1 << bit % 32)
        seen.add(fingerprints({"x": put(flipped.view(np.float32), mesh)})["x"])
    assert len(seen) == 1 + array.size * 32


def test_changes_that_a_plain_sum_would_miss_are_seen():
    mesh = mesh_of((1, 1, 1))
    array = np.float32([1, -2, 3, 0, 0])
    changed = {
        "same": array,
        "swapped": array[[1, 0, 2, 3, 4]],
        "two signs": array * np.float32([-1, -1, 1, 1, 1]),
        "moved": array[[3, 0, 1, 2, 4]],
        "zeroed": array * 0,
    }
    found = fingerprints({name: put(value, mesh) for name, value in changed.items()})
    assert len(set(found.values())) == len(changed)


def test_a_sharded_array_is_not_gathered():
    mesh = mesh_of((2, 2, 2))
    leaf = put(np.zeros((64, 32), np.float32), mesh, PartitionSpec(("fsdp", "model"), "data"))
    replicated = NamedSharding(mesh, PartitionSpec())
    text = fingerprint.lower(leaf, replicated).compile().as_text()
    assert "all-reduce" in text and "all-gather" not in text and "all-to-all" not in text
