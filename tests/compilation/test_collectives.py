import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from geosurge_jax.compilation.collectives import collectives, gathers_of_rows
from geosurge_jax.compilation.memory_traffic import memory_traffic
from geosurge_jax.compilation.program import parse_program

LOOPS = 3
KINDS = {
    # what a chip calls, and the bytes that it receives of its f32[8, 64] among 4 chips
    "all-gather": (lambda x: jax.lax.all_gather(x, "y", tiled=True)[:8], 8 * 64 * 4 * 3),
    "all-reduce": (lambda x: jax.lax.psum(x, "y"), 2 * 8 * 64 * 4 * 3 / 4),
    "reduce-scatter": (
        lambda x: jnp.tile(jax.lax.psum_scatter(x, "y", tiled=True), (4, 1)),
        8 * 64 * 4 * 3 / 4,
    ),
    "all-to-all": (lambda x: jax.lax.all_to_all(x, "y", 0, 0, tiled=True), 8 * 64 * 4 * 3 / 4),
    "collective-permute": (
        lambda x: jax.lax.ppermute(x, "y", [(i, (i + 1) % 4) for i in range(4)]),
        8 * 64 * 4,
    ),
}


@pytest.fixture(scope="module")
def mesh():
    return Mesh(np.array(jax.devices()).reshape(2, 4), ("x", "y"), axis_types=(AxisType.Auto,) * 2)


def program_of(function, *arguments):
    return parse_program(jax.jit(function).lower(*arguments).compile().as_text())


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_a_chip_receives_in_a_loop(mesh, kind):
    call, received = KINDS[kind]

    def shard(x):
        return jax.lax.scan(lambda x, _: (jnp.sin(call(x)), None), x, length=LOOPS)[0]

    function = jax.shard_map(
        shard, mesh=mesh, in_specs=P(("x", "y")), out_specs=P(("x", "y")), check_vma=False
    )
    x = jax.ShapeDtypeStruct((64, 64), jnp.float32)
    (found,) = collectives(program_of(function, x))
    assert (found.kind, found.count) == (kind, LOOPS)
    assert found.bytes_received == LOOPS * received
    assert found.largest.bytes_received == received
    assert found.largest.shapes.startswith("f32[")
    expected_group = 8 if kind == "collective-permute" else 4
    assert found.largest.group == expected_group


def softmax_loss(table, photos, labels):
    scores = photos @ table.T
    picked = jnp.where(jnp.arange(table.shape[0])[None] == labels[:, None], scores, 0).sum(-1)
    return jnp.mean(jax.nn.logsumexp(scores, -1) - picked)


def table_program(mesh, loss):
    def argument(shape, spec, dtype=jnp.float32):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))

    return program_of(
        jax.grad(loss, argnums=(0, 1)),
        argument((4096, 16), P("y")),
        argument((32, 16), P("x")),
        argument((32,), P("x"), jnp.int32),
    )


def test_a_split_table_is_not_gathered_and_a_gathered_one_is_found(mesh):
    def gathered(table, photos, labels):
        whole = jax.lax.with_sharding_constraint(table, NamedSharding(mesh, P()))
        return softmax_loss(whole, photos, labels)

    split = table_program(mesh, softmax_loss)
    assert collectives(split)
    assert gathers_of_rows(split, 4096) == ()
    assert [x.opcode for x in gathers_of_rows(table_program(mesh, gathered), 4096)][
        0
    ] == "all-gather"


def snippet(lines, computations="", header="num_partitions=8"):
    return parse_program(f"""HloModule m, {header}
{computations}
ENTRY %main (a: f32[16,32]) -> f32[] {{
  %a = f32[16,32]{{1,0}} parameter(0)
{lines}
  ROOT %r = f32[] constant(0)
}}
""")


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("{{0,1,2},{3,4,5}}", 3),
        ("{}", 8),
        ("[4,2]<=[8]", 2),
        ("[2,4]<=[4,2]T(1,0)", 4),
        ("mesh['a'=2,'b'=4] {'b'}", 4),
        ("mesh['a'=2,'b'=4] {'a','b'}", 8),
        ("mesh['a'=2,'b'=4] {'b':(2)2}", 2),
    ],
)
def test_forms_of_groups(groups, size):
    line = f"  %c = f32[16,32]{{1,0}} all-reduce(%a), replica_groups={groups}, to_apply=%add"
    (found,) = collectives(snippet(line))
    assert found.largest.group == size


def test_an_unknown_form_of_groups_is_an_error():
    line = "  %c = f32[16,32]{1,0} all-reduce(%a), replica_groups=ring(8), to_apply=%add"
    with pytest.raises(ValueError, match="c, replica_groups=ring.*expected replica_groups as"):
        collectives(snippet(line))


# (lines, computations, kind, bytes received) of collectives that overlap with other work: f32[16,32] among 8.
ASYNCHRONOUS = {
    "all-gather": (
        "  %s = (f32[16,32]{1,0}, f32[128,32]{1,0}) all-gather-start(%a), channel_id=1, "
        "replica_groups=[1,8]<=[8], dimensions={0}\n"
        "  %d = f32[128,32]{1,0} all-gather-done(%s)",
        "",
        16 * 32 * 4 * 7,
    ),
    "all-reduce": (
        "  %s = f32[16,32]{1,0} all-reduce-start(%a), replica_groups={}, to_apply=%add\n"
        "  %d = f32[16,32]{1,0} all-reduce-done(%s)",
        "",
        2 * 16 * 32 * 4 * 7 / 8,
    ),
    "reduce-scatter": (
        "  %s = ((f32[16,32]{1,0}), f32[2,32]{1,0}) async-start(%a), calls=%wrapped\n"
        "  %u = ((f32[16,32]{1,0}), f32[2,32]{1,0}) async-update(%s), calls=%wrapped\n"
        "  %d = f32[2,32]{1,0} async-done(%u), calls=%wrapped",
        """
%wrapped (p: f32[16,32]) -> f32[2,32] {
  %p = f32[16,32]{1,0} parameter(0)
  ROOT %rs = f32[2,32]{1,0} reduce-scatter(%p), replica_groups={}, dimensions={0}, to_apply=%add
}
""",
        16 * 32 * 4 * 7 / 8,
    ),
    "collective-permute": (
        "  %s = (f32[16,32]{1,0}, f32[16,32]{1,0}, u32[], u32[]) collective-permute-start(%a), "
        "source_target_pairs={{0,1},{1,0}}\n"
        "  %d = f32[16,32]{1,0} collective-permute-done(%s)",
        "",
        16 * 32 * 4,
    ),
}


@pytest.mark.parametrize("kind", ASYNCHRONOUS)
def test_a_collective_in_several_parts_counts_once(kind):
    lines, computations, received = ASYNCHRONOUS[kind]
    (found,) = collectives(snippet(lines, computations))
    assert (found.kind, found.count, found.bytes_received) == (kind, 1, received)


# The TPU compiler repeats an overlapped collective in the fusions that start it, carry it on and wait for it.
FUSED_GATHER = """
%start (p: f32[16,32]) -> (f32[16,32], f32[32,32], u32[]) {
  %p.1 = f32[16,32] parameter(0)
  %ag.1 = f32[32,32] all-gather(%p.1), channel_id=7, replica_groups={{0,1}}, dimensions={0}
  ROOT %c.1 = (f32[16,32], f32[32,32], u32[]) custom-call(%ag.1), custom_call_target="AsyncCollectiveStart"
}

%beside (p: f32[16,32], q: f32[32,32], w: f32[16,32]) -> (f32[16,32], f32[16,32], f32[32,32], f32[32,32]) {
  %p.2 = f32[16,32] parameter(0)
  %q.2 = f32[32,32] parameter(1)
  %w.2 = f32[16,32] parameter(2)
  %work = f32[16,32] tanh(%w.2)
  %ag.2 = f32[32,32] all-gather(%p.2), channel_id=7, replica_groups={{0,1}}, dimensions={0}
  ROOT %t.2 = (f32[16,32], f32[16,32], f32[32,32], f32[32,32]) tuple(%work, %p.2, %q.2, %ag.2)
}

%wait (p: f32[16,32], q: f32[32,32]) -> f32[32,32] {
  %p.3 = f32[16,32] parameter(0)
  %q.3 = f32[32,32] parameter(1)
  %ag.3 = f32[32,32] all-gather(%p.3), channel_id=7, replica_groups={{0,1}}, dimensions={0}
  ROOT %c.3 = f32[32,32] custom-call(%p.3, %q.3, %ag.3), custom_call_target="AsyncCollectiveDone"
}
"""
FUSED_LINES = """
  %s = (f32[16,32], f32[32,32], u32[]) fusion(%a), kind=kCustom, calls=%start
  %g0 = f32[16,32] get-tuple-element(%s), index=0
  %g1 = f32[32,32] get-tuple-element(%s), index=1
  %b = (f32[16,32], f32[16,32], f32[32,32], f32[32,32]) fusion(%g0, %g1, %a), kind=kLoop, calls=%beside
  %g2 = f32[16,32] get-tuple-element(%b), index=1
  %g3 = f32[32,32] get-tuple-element(%b), index=2
  %d = f32[32,32] fusion(%g2, %g3), kind=kCustom, calls=%wait, metadata={op_name="jit(f)/gather"}
"""


def test_a_tpu_gather_spread_over_fusions_counts_once():
    (found,) = collectives(snippet(FUSED_LINES, FUSED_GATHER))
    assert (found.kind, found.count, found.bytes_received) == ("all-gather", 1, 16 * 32 * 4)


def test_two_gathers_on_one_channel_are_two():
    twice = re.sub(r"%(s|g0|g1|b|g2|g3|d)\b", r"%\1.again", FUSED_LINES)
    (found,) = collectives(snippet(FUSED_LINES + twice, FUSED_GATHER))
    assert found.count == 2
    line = "  %{} = f32[16,32] all-reduce(%a), channel_id=3, replica_groups={{}}, to_apply=%add\n"
    (found,) = collectives(snippet(line.format("x") + line.format("y")))
    assert found.count == 2


def test_memory_that_overlapped_collectives_move():
    # Read: the operand by what starts it, the operand of the work beside it. Written: the work's result, the
    # gathered array by what waits for it.
    size = 16 * 32 * 4
    assert memory_traffic(snippet(FUSED_LINES, FUSED_GATHER)) == 2 * size + size + 2 * size
    lines, computations, _ = ASYNCHRONOUS["reduce-scatter"]
    assert memory_traffic(snippet(lines, computations)) == size + size / 8


def test_a_tpu_reduce_scatter_is_told_from_an_all_reduce():
    computation = """
%all-reduce-scatter.1 (p: f32[16,32]) -> f32[8,32] {
  %p = f32[16,32]{1,0} parameter(0)
  %ar = f32[16,32]{1,0} all-reduce(%p), channel_id=3, replica_groups={{0,1}}, to_apply=%add
  %z = s32[] constant(0)
  ROOT %ds = f32[8,32]{1,0} dynamic-slice(%ar, %z, %z), dynamic_slice_sizes={8,32}
}
"""
    line = (
        "  %f = f32[8,32]{1,0} fusion(%a), kind=kCustom, calls=%all-reduce-scatter.1, "
        'metadata={op_name="jit(f)/dw"}'
    )
    (found,) = collectives(snippet(line, computation))
    assert (found.kind, found.bytes_received) == ("reduce-scatter", 16 * 32 * 4 / 2)
    assert found.largest.op_name == "jit(f)/dw"
