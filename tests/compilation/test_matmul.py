import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosurge_jax.compilation.matmul import _valid_positions, matmul_flops
from geosurge_jax.compilation.program import parse_program


def compile_for(function, *shapes, dtype=jnp.float32):
    return (
        jax.jit(function).lower(*[jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]).compile()
    )


def flops_of(compiled):
    return matmul_flops(parse_program(compiled.as_text())).total


def test_products_by_hand():
    compiled = compile_for(
        lambda a, b, c: (a @ b) @ c.T, (32, 64), (64, 128), (16, 128), dtype=jnp.float32
    )
    assert flops_of(compiled) == 2 * 32 * 64 * 128 + 2 * 32 * 128 * 16


def test_a_batched_product_with_two_contracted_dimensions():
    compiled = compile_for(
        lambda a, b: jnp.einsum("bhnk,bmhk->bnm", a, b), (3, 4, 8, 16), (3, 5, 4, 16)
    )
    assert flops_of(compiled) == 2 * 3 * 8 * 5 * 4 * 16


def test_a_loop_counts_as_its_unrolled_equal():
    def scanned(x, weights):
        return jax.lax.scan(lambda x, w: (x @ w, None), x, weights)[0]

    def unrolled(x, weights):
        for i in range(6):
            x = x @ weights[i]
        return x

    shapes = (16, 32), (6, 32, 32)
    by_hand = 6 * 2 * 16 * 32 * 32
    cost = compile_for(unrolled, *shapes).cost_analysis()
    assert cost is not None and cost["flops"] == by_hand
    assert flops_of(compile_for(unrolled, *shapes)) == by_hand
    assert flops_of(compile_for(scanned, *shapes)) == by_hand


@pytest.mark.parametrize("remat", [False, True])
def test_forward_and_backward_of_a_scanned_stack(remat):
    width, hidden, layers, batch = 32, 128, 5, 8

    def block(x, weights):
        return x + jnp.tanh(x @ weights[0]) @ weights[1], None

    def loss(x, weights):
        return jax.lax.scan(jax.checkpoint(block) if remat else block, x, weights)[0].sum()

    def gradient(x, first, second):
        return jax.grad(loss, argnums=1)(x, (first, second))

    compiled = compile_for(
        gradient, (batch, width), (layers, width, hidden), (layers, hidden, width)
    )
    product = 2 * batch * width * hidden
    # Forward 2 products a layer, backward 4. What is computed anew is the first product alone: the
    # backward pass needs nothing of the second one's result.
    assert flops_of(compiled) == layers * product * (7 if remat else 6)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [
        (1, "SAME", 1, 1),
        (2, "SAME", 1, 1),
        (1, "VALID", 2, 1),
        (1, "SAME", 1, 4),
        (3, "SAME", 2, 2),
    ],
)
def test_convolutions_as_xla_counts_them(stride, padding, dilation, groups):
    def convolve(image, kernel):
        return jax.lax.conv_general_dilated(
            image,
            kernel,
            (stride, stride),
            padding,
            rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    lowered = jax.jit(convolve).lower(
        jax.ShapeDtypeStruct((2, 11, 13, 8), jnp.float32),
        jax.ShapeDtypeStruct((3, 3, 8 // groups, 16), jnp.float32),
    )
    # The cost analysis of the program before optimisation, which holds the convolution alone.
    cost = lowered.cost_analysis()
    assert cost is not None
    assert flops_of(lowered.compile()) == cost["flops"]


@settings(max_examples=200, deadline=None)
@given(
    input_size=st.integers(1, 9),
    output_size=st.integers(1, 9),
    kernel_size=st.integers(1, 6),
    stride=st.integers(1, 8),
    padding=st.integers(-3, 5),
    image_dilation=st.integers(1, 5),
    kernel_dilation=st.integers(1, 3),
)
def test_positions_against_a_picture_with_holes(**case):
    dilation, size = case["image_dilation"], case["input_size"]
    # An element stands at every dilation-th place, holes between, nothing outside.
    elements = {i * dilation for i in range(size)}
    expected = sum(
        o * case["stride"] + k * case["kernel_dilation"] - case["padding"] in elements
        for o in range(case["output_size"])
        for k in range(case["kernel_size"])
    )
    assert _valid_positions(**case) == expected


def one_instruction(left, right, line):
    return parse_program(f"""HloModule m

ENTRY %main (a: {left}, b: {right}) -> f32[] {{
  %a = {left} parameter(0)
  %b = {right} parameter(1)
  ROOT {line}
}}
""")


# As the TPU compiler writes products, b = 16, n = m = 64, h = 4, k = 64, d = 256: (operands, line, FLOPs).
TPU = {
    "bnd,dhk->bnhk": (
        "bf16[16,64,256,1]{2,1,3,0:T(8,128)(2,1)}",
        "bf16[256,4,64,1]{2,0,1,3:T(8,128)(2,1)}",
        "%c = bf16[16,64,4,64]{3,1,2,0:T(8,128)(2,1)S(1)} convolution(%a, %b), "
        "window={size=1x4 pad=0_0x3_3 rhs_reversal=0x1}, dim_labels=0bf1_i1o0->0b1f",
        2 * 16 * 64 * 256 * 256,
    ),
    "bnhk,bmhk->bhnm": (
        "bf16[16,64,4,64]{3,1,2,0:T(8,128)(2,1)}",
        "bf16[16,64,4,64]{3,1,2,0:T(8,128)(2,1)}",
        "%c = bf16[16,4,64,64]{2,3,1,0:T(8,128)(2,1)} convolution(%a, %b), "
        "window={size=16x4 stride=15x3 lhs_dilate=16x4}, dim_labels=0b1f_0o1i->01bf",
        2 * 16 * 4 * 64 * 64 * 64,
    ),
    "bnhk,hkd->bnd": (
        "bf16[16,64,4,64]{3,1,2,0:T(8,128)(2,1)}",
        "bf16[1,4,256,64]{2,3,1,0:T(8,128)(2,1)}",
        "%c = bf16[16,64,256,1]{2,1,3,0:T(8,128)(2,1)} convolution(%a, %b), window={size=1x4}, "
        "dim_labels=0b1f_01oi->0bf1",
        2 * 16 * 64 * 256 * 256,
    ),
    "bk,dk->bd": (
        "bf16[32,256]{1,0:T(8,128)(2,1)}",
        "bf16[2048,256]{1,0:T(8,128)(2,1)}",
        "%c = bf16[32,2048]{1,0:T(8,128)(2,1)S(1)} convolution(%a, %b), dim_labels=bf_oi->bf",
        2 * 32 * 256 * 2048,
    ),
}


@pytest.mark.parametrize("name", TPU)
def test_products_that_a_tpu_writes_as_convolutions(name):
    left, right, line, expected = TPU[name]
    flops = matmul_flops(one_instruction(left, right, line))
    assert (flops.narrow, flops.wide) == (expected, 0)


# As XLA hands them to cuBLAS and cuDNN; the workspace is a second result.
GPU = {
    "cublas": (
        "f32[3,8,16]{2,1,0}",
        "f32[3,16,32]{2,1,0}",
        "%c = (f32[3,8,32]{2,1,0}, s8[4194304]{0}) custom-call(%a, %b), "
        'custom_call_target="__cublas$gemm", backend_config={"gemm_backend_config":{"dot_dimension_numbers":'
        '{"lhs_contracting_dimensions":["2"],"rhs_contracting_dimensions":["1"],'
        '"lhs_batch_dimensions":["0"],"rhs_batch_dimensions":["0"]}}}',
        2 * 3 * 8 * 16 * 32,
    ),
    "forward": (
        "f32[2,9,9,3]{3,2,1,0}",
        "f32[4,3,3,3]{3,2,1,0}",
        "%c = (f32[2,7,7,4]{3,2,1,0}, u8[0]{0}) custom-call(%a, %b), window={size=3x3}, "
        'dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convForward"',
        2 * 2 * 7 * 7 * 4 * 3 * 9,
    ),
    "filter": (
        "f32[2,9,9,3]{3,2,1,0}",
        "f32[2,7,7,4]{3,2,1,0}",
        "%c = (f32[4,3,3,3]{3,2,1,0}, u8[0]{0}) custom-call(%a, %b), window={size=3x3}, "
        'dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardFilter"',
        2 * 2 * 7 * 7 * 4 * 3 * 9,
    ),
    "input": (
        "f32[2,7,7,4]{3,2,1,0}",
        "f32[4,3,3,3]{3,2,1,0}",
        "%c = (f32[2,9,9,3]{3,2,1,0}, u8[0]{0}) custom-call(%a, %b), window={size=3x3}, "
        'dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardInput"',
        2 * 2 * 7 * 7 * 4 * 3 * 9,
    ),
}


@pytest.mark.parametrize("name", GPU)
def test_products_handed_to_a_gpu_library(name):
    left, right, line, expected = GPU[name]
    flops = matmul_flops(one_instruction(left, right, line))
    assert (flops.narrow, flops.wide) == (0, expected)


def test_batch_groups_share_the_work():
    line = (
        "%c = f32[2,3,3,8]{3,2,1,0} convolution(%a, %b), window={size=3x3}, dim_labels=b01f_01io->b01f, "
        "batch_group_count=2"
    )
    flops = matmul_flops(one_instruction("f32[4,5,5,3]{3,2,1,0}", "f32[3,3,3,8]{3,2,1,0}", line))
    assert flops.total == 2 * 2 * 3 * 8 * (3 * 3) * (3 * 3)


def test_kernels_that_cannot_be_counted_are_named():
    line = '%c = f32[8]{0} custom-call(%a, %b), custom_call_target="__cudnn$fmhaSoftmax"'
    flops = matmul_flops(one_instruction("f32[8]{0}", "f32[8]{0}", line))
    assert (flops.total, flops.uncounted) == (0, ("__cudnn$fmhaSoftmax",))
