import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from geosurge_jax.training.mesh import MeshConfig, check_even, make_mesh, match_specs, put_batch

RULES = ((r"^table/", PartitionSpec("model")), (r"^head/", PartitionSpec()))


@pytest.mark.parametrize(
    ("config", "shape"),
    [(MeshConfig(-1, 1), (8, 1)), (MeshConfig(4, 2), (4, 2)), (MeshConfig(2, -1), (2, 4))],
)
def test_free_axis_takes_the_rest(config, shape):
    mesh = make_mesh(config)
    assert tuple(mesh.shape.values()) == shape and mesh.axis_names == ("data", "model")


@pytest.mark.parametrize(
    "config", [MeshConfig(3, 1), MeshConfig(-1, 3), MeshConfig(-1, -1), MeshConfig(0, 8)]
)
def test_sizes_that_do_not_fit_are_refused(config):
    with pytest.raises(
        ValueError, match=r"config.mesh=.*expected sizes that multiply to the 8 devices"
    ):
        make_mesh(config)


def test_first_matching_rule_wins_and_none_is_an_error():
    params = {"table": {"level_0": np.ones((8, 2))}, "head": {"bias": np.ones(3)}}
    specs = match_specs(params, (("bias", PartitionSpec()), *RULES))
    assert specs["table"]["level_0"] == PartitionSpec("model")
    with pytest.raises(ValueError, match=r"parameter other/x \(2,\): no partition rule matches"):
        match_specs({"other": {"x": np.ones(2)}}, RULES)
    with pytest.raises(ValueError, match=r"parameter head/scalar \(\): has fewer axes"):
        match_specs({"head": {"scalar": np.ones(())}}, ((".", PartitionSpec("data")),))


def test_uneven_shards_are_refused_by_name():
    params = {"table": {"level_0": np.ones((6, 2))}}
    mesh = make_mesh(MeshConfig(2, 4))
    with pytest.raises(
        ValueError,
        match=r"table/level_0 \(6, 2\): 6 does not split evenly over config.mesh.model=4",
    ):
        check_even(params, match_specs(params, RULES), mesh)


def test_batch_lies_on_the_data_axis():
    mesh = make_mesh(MeshConfig(4, 2))
    array = put_batch(mesh, {"mask": np.arange(8.0)})["mask"]
    assert array.sharding.spec == PartitionSpec("data")
    assert {tuple(np.asarray(s.data)) for s in array.addressable_shards} == {
        (0, 1),
        (2, 3),
        (4, 5),
        (6, 7),
    }
    assert jax.device_get(array).tolist() == list(range(8))
