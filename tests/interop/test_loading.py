"""Arrays made of what devices hold."""

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from geosurge_jax.interop.loading import place
from geosurge_jax.training.mesh import MeshConfig, make_mesh


@pytest.mark.parametrize(
    ("spec", "shape", "reads"),
    [
        (PartitionSpec(), (6, 8), 1),
        (PartitionSpec(None, "fsdp"), (6, 8), 4),
        (PartitionSpec(("fsdp", "data")), (16, 3), 8),
        (PartitionSpec(), (), 1),
    ],
)
def test_each_device_gets_its_rows_and_replicas_are_read_once(spec, shape, reads):
    mesh = make_mesh(MeshConfig(data=2, fsdp=4, model=1))
    whole, seen = np.arange(np.prod(shape), dtype=np.float32).reshape(shape), []

    def read(index):
        seen.append(index)
        return np.array(whole[index])

    sharding = NamedSharding(mesh, spec)
    array = place(shape, sharding, read)
    assert len(seen) == reads
    assert array.sharding == sharding
    np.testing.assert_array_equal(array, whole)
    for shard in array.addressable_shards:
        np.testing.assert_array_equal(shard.data, whole[shard.index])


def test_one_device_s_rows_are_handed_over_before_the_next_are_read(monkeypatch):
    mesh = make_mesh(MeshConfig(data=1, fsdp=8, model=1))
    order, put = [], jax.device_put

    def read(index):
        order.append("read")
        return np.zeros((1, 2), np.float32)

    monkeypatch.setattr(jax, "device_put", lambda *a: order.append("put") or put(*a))
    place((8, 2), NamedSharding(mesh, PartitionSpec("fsdp")), read)
    assert order == ["read", "put"] * 8
