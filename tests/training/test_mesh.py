import jax
import numpy as np
import pytest

from geosurge_jax.training.mesh import MeshConfig, make_mesh, put_batch


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (MeshConfig(-1, 1, 1), (8, 1, 1)),
        (MeshConfig(2, 2, 2), (2, 2, 2)),
        (MeshConfig(2, -1, 1), (2, 4, 1)),
        (MeshConfig(1, 2, -1), (1, 2, 4)),
    ],
)
def test_free_axis_takes_the_rest(config, shape):
    mesh = make_mesh(config)
    assert tuple(mesh.shape.values()) == shape and mesh.axis_names == ("data", "fsdp", "model")


@pytest.mark.parametrize(
    "config",
    [
        MeshConfig(3, 1, 1),
        MeshConfig(-1, 1, 3),
        MeshConfig(-1, -1, 1),
        MeshConfig(0, 8, 1),
        MeshConfig(-2, -4, 1),
    ],
)
def test_sizes_that_do_not_fit_are_refused(config):
    with pytest.raises(
        ValueError,
        match=r"config.mesh=\{data: .*\}: expected sizes that multiply to the 8 devices",
    ):
        make_mesh(config)


def test_photos_lie_over_all_axes():
    mesh = make_mesh(MeshConfig(2, 2, 2))
    array = put_batch(mesh, {"mask": np.arange(16.0)})["mask"]
    shards = {tuple(np.asarray(shard.data)) for shard in array.addressable_shards}
    assert shards == {(2.0 * i, 2.0 * i + 1) for i in range(8)}
    assert jax.device_get(array).tolist() == list(range(16))
