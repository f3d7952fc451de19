import jax
from jax.sharding import PartitionSpec

from geosurge_jax.training.parameters import flatten


def test_optimizer_state_and_average_lie_where_their_parameter_lies(trainer):
    plan = trainer((2, 2, 2), averaged=True).plan
    moments = jax.tree_util.tree_flatten_with_path(plan.abstract.opt_state)[0]
    tables = [
        leaf for path, leaf in moments if "level_" in jax.tree_util.keystr(path) and leaf.ndim == 2
    ]
    assert len(tables) == 4, "two moments of two tables"
    for leaf in [*tables, plan.abstract.average["table"]["level_0"]]:
        assert leaf.sharding.spec == PartitionSpec(("fsdp", "model"))
    counts = [leaf for _, leaf in moments if not leaf.ndim]
    assert counts and all(leaf.sharding.spec == PartitionSpec() for leaf in counts)


def test_the_state_is_born_on_its_shardings(trainer):
    run = trainer((2, 2, 2), averaged=True)
    state = run.create()
    for path, leaf in flatten(state.trained).items():
        assert leaf.sharding == flatten(run.plan.abstract.trained)[path].sharding, path
    table = state.trained["table"]["level_0"]
    assert {shard.data.shape[0] for shard in table.addressable_shards} == {table.shape[0] // 4}
