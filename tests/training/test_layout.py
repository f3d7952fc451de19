import numpy as np
import pytest
from jax.sharding import PartitionSpec

from geosurge_jax.training.layout import layout_report, plan_layout
from geosurge_jax.training.mesh import MeshConfig, make_mesh

RULES = (
    ("^table/", PartitionSpec(("fsdp", "model"))),
    ("^head/kernel$", PartitionSpec(None, "fsdp")),
    ("^head/", PartitionSpec()),
)


def params(rows=8, width=6):
    return {
        "table": {"level_0": np.ones((rows, 2), np.float32)},
        "head": {"kernel": np.ones((3, width), np.float32), "bias": np.ones(3, np.float32)},
    }


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(MeshConfig(2, 2, 2))


def test_first_matching_rule_wins_and_bytes_are_of_a_shard(mesh):
    rows = {row.path: row for row in plan_layout(params(), RULES, mesh)}
    assert rows["table/level_0"].spec == PartitionSpec(("fsdp", "model"))
    assert rows["head/kernel"].rule == "^head/kernel$" and rows["head/bias"].rule == "^head/"
    sizes = {path: row.bytes_per_device for path, row in rows.items()}
    assert sizes == {
        "table/level_0": 8 * 2 * 4 // 4,
        "head/kernel": 3 * 6 * 4 // 2,
        "head/bias": 12,
    }


@pytest.mark.parametrize(
    ("values", "rules", "message"),
    [
        (params(), RULES[:2], r"parameter head/bias \(3,\): no partition rule matches"),
        (
            params(),
            (*RULES, ("^tabel/", PartitionSpec())),
            r"partition rules \['\^tabel/'\] decide for no parameter",
        ),
        (
            params(),
            (("bias", PartitionSpec(None, "fsdp")), *RULES),
            r"parameter head/bias \(3,\): has fewer axes",
        ),
        (
            params(rows=6),
            RULES,
            r"parameter table/level_0 \(6, 2\): 6 does not split evenly over 4 devices "
            r"\(config.mesh.fsdp=2, config.mesh.model=2\)",
        ),
        (
            params(width=5),
            RULES,
            r"parameter head/kernel \(3, 5\): 5 does not split evenly over 2 devices "
            r"\(config.mesh.fsdp=2\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(mesh, values, rules, message):
    with pytest.raises(ValueError, match=message):
        plan_layout(values, rules, mesh)


def test_report_names_mesh_rule_spec_and_sum(mesh):
    report = layout_report(plan_layout(params(), RULES, mesh), mesh).splitlines()
    assert report[0] == "mesh: data 2 x fsdp 2 x model 2"
    assert report[-1] == "parameters: 64 bytes a device"
    row = next(line for line in report if line.startswith("table/level_0"))
    assert row.split() == ["table/level_0", "8x2", "(fsdp+model)", "16", "^table/"]
