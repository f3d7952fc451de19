import pytest

from geosurge_jax.compilation.hlo import Shape, parse_module

TEXT = """HloModule jit_f, is_scheduled=true, num_partitions=4

%region (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%a, %b)
}

ENTRY %main.3_spmd (p: bf16[16,8], q: (s32[], pred[5])) -> (bf16[16,8], s4[3]) {
  %q = (s32[]{:T(128)}, /*index=1*/pred[5]{0:T(512)(4,1)S(1)}) parameter(1)
  %p = bf16[16,8]{1,0:T(8,128)(2,1)S(1)} parameter(0), metadata={op_name="jit(f)/x" stack_frame_id=3}
  %k = s4[3]{0} constant({1, 2, 3})
  ROOT %t = (bf16[16,8]{1,0:T(8,128)(2,1)S(1)}, s4[3]{0}) tuple(%p, /*index=1*/%k)
}
"""


def test_computations_instructions_and_shapes():
    module = parse_module(TEXT)
    assert (module.entry, module.devices) == ("main.3_spmd", 4)
    assert set(module.computations) == {"region", "main.3_spmd"}
    main = module.computations["main.3_spmd"]
    assert main.parameters == ("p", "q")
    assert main.root == "t"
    p, q, k, t = (main.instructions[name] for name in "pqkt")
    assert p.shapes == (Shape("bf16", (16, 8), 1),)
    assert q.shapes == (Shape("s32", (), 0), Shape("pred", (5,), 1))
    assert p.op_name == "jit(f)/x"
    assert (k.literal, k.operands) == ("{1, 2, 3}", ())
    assert t.operands == ("p", "k")
    assert main.users["p"] == (t,)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        (Shape("f32", (3, 5)), 60),
        (Shape("bf16", ()), 2),
        (Shape("pred", (7,)), 7),
        (Shape("s4", (3,)), 2),
        (Shape("f8e4m3fn", (4,)), 4),
        (Shape("c64", (2,)), 16),
        (Shape("token", ()), 0),
        (Shape("f32", (0, 5)), 0),
    ],
)
def test_bytes(shape, size):
    assert shape.bytes == size


def test_a_text_that_is_no_module():
    with pytest.raises(ValueError, match="'hello': expected an HLO module with an ENTRY"):
        parse_module("hello")
