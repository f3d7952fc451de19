import jax
import jax.numpy as jnp
import pytest

from geosurge_jax.compilation.memory_traffic import memory_traffic
from geosurge_jax.compilation.program import parse_program

KB = 1024  # bytes of an f32[256]


def traffic(lines, computations=""):
    return memory_traffic(
        parse_program(f"""HloModule m
{computations}
ENTRY %main (a: f32[256], b: f32[256], w: f32[8,256], i: s32[]) -> f32[] {{
  %a = f32[256]{{0}} parameter(0)
  %b = f32[256]{{0}} parameter(1)
  %w = f32[8,256]{{1,0}} parameter(2)
  %i = s32[] parameter(3)
{lines}
  ROOT %r = f32[] constant(0)
}}
""")
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("  %c = f32[256]{0} add(%a, %b)", 3 * KB),
        ("  %c = f32[256]{0:T(256)S(1)} add(%a, %b)", 2 * KB),
        ("  %c = f32[256]{0} bitcast(%a)\n  %t = (f32[256]{0}) tuple(%c)", 0),
        ("  %c = f32[1,256]{1,0} slice(%w), slice={[2:3], [0:256]}", 2 * KB),
        (
            "  %c = f32[1,256]{1,0} dynamic-slice(%w, %i, %i), dynamic_slice_sizes={1,256}",
            2 * KB + 8,
        ),
        (
            "  %u = f32[1,256]{1,0} bitcast(%a)\n"
            "  %c = f32[8,256]{1,0} dynamic-update-slice(%w, %u, %i, %i)",
            2 * KB + 8,
        ),
        (  # a prefetch into on-chip memory reads, and what uses it from there does not
            "  %s = (f32[256]{0:S(1)}, f32[256]{0}, u32[]{:S(2)}) copy-start(%a)\n"
            "  %d = f32[256]{0:S(1)} copy-done(%s)\n"
            "  %c = f32[256]{0} negate(%d)",
            2 * KB,
        ),
        (
            "  %s = ((f32[8,256]{1,0}), f32[2,256]{1,0:S(1)}, s32[]{:S(2)}) slice-start(%w)\n"
            "  %d = f32[2,256]{1,0:S(1)} slice-done(%s)",
            2 * KB,
        ),
        (
            "  %s = (f32[256]{0}, f32[1024]{0}) all-gather-start(%a), replica_groups={{0,1,2,3}}\n"
            "  %d = f32[1024]{0} all-gather-done(%s)",
            5 * KB,
        ),
    ],
)
def test_instructions_by_hand(lines, expected):
    assert traffic(lines) == expected


# One layer's weights out of a stack, times x; the stack's slice is what is read.
SLICING = """
%inner (q: f32[8,256], j: s32[]) -> f32[1,256] {
  %q = f32[8,256]{1,0} parameter(0)
  %j = s32[] parameter(1)
  ROOT %one = f32[1,256]{1,0} dynamic-slice(%q, %j, %j), dynamic_slice_sizes={1,256}
}

%layer (p: f32[8,256], x: f32[256], k: s32[]) -> f32[1,256] {
  %p = f32[8,256]{1,0} parameter(0)
  %x = f32[256]{0} parameter(1)
  %k = s32[] parameter(2)
  %v = f32[8,256]{1,0} bitcast(%p)
  %slice = f32[1,256]{1,0} fusion(%v, %k), kind=kLoop, calls=%inner
  %y = f32[1,256]{1,0} bitcast(%x)
  ROOT %product = f32[1,256]{1,0} multiply(%slice, %y)
}
"""
# Writes one layer's gradient into the stack, in place.
UPDATING = """
%update (p: f32[8,256], g: f32[256], k: s32[]) -> f32[8,256] {
  %p = f32[8,256]{1,0} parameter(0)
  %g = f32[256]{0} parameter(1)
  %k = s32[] parameter(2)
  %row = f32[1,256]{1,0} bitcast(%g)
  ROOT %new = f32[8,256]{1,0} dynamic-update-slice(%p, %row, %k, %k)
}
"""


def test_fusions_that_slice_read_the_slice():
    line = "  %f = f32[1,256]{1,0} fusion(%w, %a, %i), kind=kLoop, calls=%layer"
    assert traffic(line, SLICING) == 3 * KB + 4


def test_fusions_that_update_in_place_write_the_update():
    line = "  %f = f32[8,256]{1,0} fusion(%w, %a, %i), kind=kLoop, calls=%update"
    assert traffic(line, UPDATING) == 2 * KB + 4


def test_fusions_pass_operands_on_for_nothing():
    computation = """
%two (p: f32[256], q: f32[256]) -> (f32[256], f32[256]) {
  %p = f32[256]{0} parameter(0)
  %q = f32[256]{0} parameter(1)
  %n = f32[256]{0} negate(%p)
  ROOT %t = (f32[256]{0}, f32[256]{0}) tuple(%n, %q)
}
"""
    line = "  %f = (f32[256]{0}, f32[256]{0}) fusion(%a, %b), kind=kLoop, calls=%two"
    assert traffic(line, computation) == 2 * KB


def test_fusions_that_end_in_an_instruction_of_several_results():
    computation = """
%both (p: f32[256], q: f32[256]) -> (f32[256], f32[256]) {
  %p = f32[256]{0} parameter(0)
  %q = f32[256]{0} parameter(1)
  ROOT %s = (f32[256]{0}, f32[256]{0}) sort(%p, %q), dimensions={0}, to_apply=%less
}
"""
    line = "  %f = (f32[256]{0}, f32[256]{0}) fusion(%a, %b), kind=kLoop, calls=%both"
    assert traffic(line, computation) == 4 * KB


def test_a_loop_over_layers_reads_each_layer_once_and_the_state_as_often_as_it_runs():
    def function(x, layers):
        return jax.lax.scan(lambda x, layer: (jnp.sin(x * layer), None), x, layers)[0]

    state, stack = jnp.zeros(100_000), jnp.zeros((7, 100_000))
    program = parse_program(jax.jit(function).lower(state, stack).compile().as_text())
    # x and a layer in, x out, seven times; copies before and after the loop may be there or not.
    size = 4 * 100_000
    assert 7 * 3 * size <= memory_traffic(program) <= 1.2 * 7 * 3 * size
