import re

import jax
import jax.numpy as jnp
import pytest

from geosurge_jax.compilation.program import executed, parse_program


def compiled_text(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(function).lower(*arguments).compile().as_text()


def runs_of_tanh(program):
    return sum(step.runs for step in executed(program) if step.instruction.opcode == "tanh")


def nested(x):
    def outer(x, _):
        return jax.lax.fori_loop(2, 9, lambda i, x: jnp.tanh(x) * i, x), None

    return jax.lax.scan(outer, x, length=5)[0]


def test_nested_loops_multiply():
    text = compiled_text(nested, (64, 64))
    assert runs_of_tanh(parse_program(text)) == 5 * 7


def test_the_count_is_found_where_the_compiler_did_not_write_it():
    text = compiled_text(nested, (64, 64))
    silent = re.sub(r',?"known_trip_count":\{"n":"\d+"\}', "", text)
    assert "known_trip_count" in text and "known_trip_count" not in silent
    program = parse_program(silent)
    assert runs_of_tanh(program) == 5 * 7
    assert program.unknown_loops == ()


def test_a_loop_that_depends_on_data_counts_once_and_is_named():
    text = compiled_text(
        lambda x: jax.lax.while_loop(lambda x: x[0, 0] < 1e3, lambda x: jnp.tanh(x) + x, x), (8, 8)
    )
    program = parse_program(text)
    assert len(program.unknown_loops) == 1
    assert runs_of_tanh(program) == 1


def test_every_branch_counts_as_taken():
    def function(x):
        return jax.lax.cond(x[0, 0] > 0, jnp.tanh, lambda x: jnp.tanh(2 * x), x)

    assert runs_of_tanh(parse_program(compiled_text(function, (64, 64)))) == 2


# As the TPU compiler prints loops: no count beside the loop, constants copied about, the limit in the tuple.
LOOP = """HloModule jit_f

%body (p: (s32[], f32[8], s32[])) -> (s32[], f32[8], s32[]) {
  %p = (s32[]{:T(128)}, f32[8]{0:T(128)}, s32[]{:T(128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%p), index=0
  %copy.1 = s32[]{:T(128)S(6)} copy(%i)
  %step = s32[]{:T(128)} constant(STEP)
  %next = s32[]{:T(128)} add(%copy.1, %step)
  %x = f32[8]{0:T(128)} get-tuple-element(%p), index=1
  %tanh = f32[8]{0:T(128)} tanh(%x)
  %n = s32[]{:T(128)} get-tuple-element(%p), index=2
  ROOT %t = (s32[]{:T(128)}, f32[8]{0:T(128)}, s32[]{:T(128)}) tuple(%next, %tanh, %n)
}

%fused_compare (a: s32[], b: s32[]) -> pred[] {
  %a = s32[] parameter(0)
  %b = s32[] parameter(1)
  ROOT %c = pred[] compare(%a, %b), direction=DIRECTION
}

%condition (p: (s32[], f32[8], s32[])) -> pred[] {
  %p = (s32[]{:T(128)}, f32[8]{0:T(128)}, s32[]{:T(128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%p), index=0
  %n = s32[]{:T(128)} get-tuple-element(%p), index=2
  ROOT %lt = pred[]{:T(512)} fusion(%i, %n), kind=kLoop, calls=%fused_compare
}

ENTRY %main (x: f32[8], unknown: s32[]) -> f32[8] {
  %x = f32[8]{0:T(128)} parameter(0)
  %unknown = s32[] parameter(1)
  %zero = s32[]{:T(128)} constant(START)
  %copy.2 = s32[]{:T(128)} copy(%zero)
  %limit = s32[]{:T(128)} constant(LIMIT)
  %t = (s32[]{:T(128)}, f32[8]{0:T(128)}, s32[]{:T(128)}) tuple(%copy.2, %x, %limit)
  %loop = (s32[]{:T(128)}, f32[8]{0:T(128)}, s32[]{:T(128)}) while(%t), condition=%condition, body=%body
  ROOT %y = f32[8]{0:T(128)} get-tuple-element(%loop), index=1
}
"""


@pytest.mark.parametrize(
    ("start", "step", "limit", "direction"),
    [
        (0, 1, 6, "LT"),
        (2, 3, 12, "LT"),
        (2, 3, 11, "LE"),
        (9, -2, 0, "GT"),
        (5, 1, 5, "LT"),
        (0, 2, 8, "NE"),
    ],
)
def test_the_counter_is_followed(start, step, limit, direction):
    values = {"START": start, "STEP": step, "LIMIT": limit, "DIRECTION": direction}
    text = LOOP
    for key, value in values.items():
        text = text.replace(key, str(value))
    compares = {"LT": "<", "LE": "<=", "GT": ">", "NE": "!="}[direction]
    expected, i = 0, start
    while eval(f"{i} {compares} {limit}"):
        expected, i = expected + 1, i + step
    assert parse_program(text).runs["body"] == expected


def test_what_the_compiler_wrote_beside_the_loop_is_taken():
    noted = LOOP.replace("body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"11"}}')
    assert parse_program(noted).runs["body"] == 11


def test_a_computation_called_twice_runs_twice():
    text = LOOP.replace("START", "0").replace("STEP", "1").replace("DIRECTION", "LT")
    again = (
        "  %again = (s32[], f32[8], s32[]) while(%t), condition=%condition, body=%body\n  ROOT %y"
    )
    program = parse_program(text.replace("LIMIT", "6").replace("  ROOT %y", again))
    assert program.runs["body"] == 12


def test_both_computations_of_a_condition():
    program = parse_program("""HloModule m

%yes (p: f32[8]) -> f32[8] {
  %p = f32[8] parameter(0)
  ROOT %a = f32[8] tanh(%p)
}

%no (q: f32[8]) -> f32[8] {
  %q = f32[8] parameter(0)
  ROOT %b = f32[8] tanh(%q)
}

ENTRY %main (c: pred[], x: f32[8]) -> f32[8] {
  %c = pred[] parameter(0)
  %x = f32[8] parameter(1)
  ROOT %r = f32[8] conditional(%c, %x, %x), true_computation=%yes, false_computation=%no
}
""")
    assert runs_of_tanh(program) == 2


def test_a_limit_that_is_an_argument_is_not_known():
    text = LOOP.replace("START", "0").replace("STEP", "1").replace("DIRECTION", "LT")
    text = text.replace("%limit = s32[]{:T(128)} constant(LIMIT)", "%limit = s32[] copy(%unknown)")
    program = parse_program(text)
    assert program.unknown_loops == ("loop",)
    assert program.runs["body"] == 1
