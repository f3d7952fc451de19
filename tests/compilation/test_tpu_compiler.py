"""The real TPU compiler, on any machine; needs libtpu (pip install -r requirements-tpu.txt)."""

import importlib.util
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from geosurge_jax.compilation.chips import CHIPS, GIB, chip_of
from geosurge_jax.compilation.collectives import collectives, gathers_of_rows
from geosurge_jax.compilation.matmul import matmul_flops
from geosurge_jax.compilation.program import parse_program
from geosurge_jax.compilation.rendering import as_text
from geosurge_jax.compilation.report import Setting, compile_and_report
from geosurge_jax.compilation.topology import tpu_devices

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("libtpu") is None,
        reason="libtpu is not installed; pip install -r requirements-tpu.txt",
    ),
]

AXES = ("fsdp", "model")
BATCH = P(AXES)


@pytest.fixture(scope="module")
def mesh():
    devices = np.array(tpu_devices("v5e:2x2")).reshape(2, 2)
    return Mesh(devices, AXES, axis_types=(AxisType.Auto,) * 2)


def argument(mesh, shape, spec, dtype=jnp.bfloat16):
    return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))


def program_of(function, *arguments):
    return parse_program(jax.jit(function).lower(*arguments).compile().as_text())


@pytest.mark.parametrize(
    ("equation", "left", "right", "macs"),
    [
        ("bnd,dk->bnk", (8, 24, 64), (64, 128), 8 * 24 * 64 * 128),
        ("bnd,dhk->bnhk", (8, 24, 64), (64, 3, 32), 8 * 24 * 64 * 96),
        ("bnhk,bmhk->bhnm", (8, 24, 3, 32), (8, 40, 3, 32), 8 * 24 * 40 * 96),
        ("bhnm,bmhk->bnhk", (8, 3, 24, 40), (8, 40, 3, 32), 8 * 24 * 40 * 96),
        ("bnhk,hkd->bnd", (8, 24, 3, 32), (3, 32, 64), 8 * 24 * 64 * 96),
        ("bnd,bnk->dk", (8, 24, 64), (8, 24, 128), 8 * 24 * 64 * 128),
    ],
)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_products(mesh, equation, left, right, macs, dtype):
    program = program_of(
        lambda a, b: jnp.einsum(equation, a, b),
        argument(mesh, left, P(), dtype),
        argument(mesh, right, P(), dtype),
    )
    flops = matmul_flops(program)
    assert flops.total == 2 * macs


@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions(mesh, stride):
    def convolve(image, kernel):
        return jax.lax.conv_general_dilated(
            image, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    shapes = (4, 16, 16, 8), (3, 3, 8, 128)
    arguments = [argument(mesh, shape, P(), jnp.float32) for shape in shapes]
    compiled = jax.jit(convolve).lower(*arguments).compile()
    # The compiler cuts the picture into overlapping strips, so that there is more work than was asked for.
    # Its own count holds the elementwise work too, here a few per cent.
    cost = compiled.cost_analysis()
    assert cost is not None
    flops = matmul_flops(parse_program(compiled.as_text())).total
    assert 0.97 * cost["flops"] <= flops <= cost["flops"]


def test_collectives_of_a_loop(mesh):
    kinds = {"all-gather": 3, "all-reduce": 5, "all-to-all": 7, "collective-permute": 4}

    def shard(x):
        def gather(x, _):
            return jax.lax.all_gather(jnp.sin(x), "model", tiled=True)[: len(x)], None

        def reduce(x, _):
            return jax.lax.psum(jnp.sin(x), AXES), None

        def exchange(x, _):
            return jax.lax.all_to_all(jnp.sin(x), "fsdp", 0, 0, tiled=True), None

        def pass_on(x, _):
            return jax.lax.ppermute(jnp.sin(x), "model", [(0, 1), (1, 0)]), None

        for body, kind in zip((gather, reduce, exchange, pass_on), kinds, strict=True):
            x, _ = jax.lax.scan(body, x, length=kinds[kind])
        return x

    function = jax.shard_map(shard, mesh=mesh, in_specs=BATCH, out_specs=BATCH, check_vma=False)
    found = collectives(program_of(function, argument(mesh, (1024, 512), BATCH, jnp.float32)))
    size = 1024 // 4 * 512 * 4
    received = {
        "all-gather": size,
        "all-reduce": 2 * size * 3 / 4,
        "all-to-all": size / 2,
        "collective-permute": size,
    }
    assert {one.kind: one.count for one in found} == kinds
    for one in found:
        assert one.bytes_received == kinds[one.kind] * received[one.kind]


LAYERS, WIDTH, HIDDEN, HEADS, TOKENS, PHOTOS, ROWS = 6, 256, 1024, 4, 64, 64, 4096


def training_step(mesh):
    """Gradient of a stack of transformer blocks with a table of cells, parameters over fsdp."""

    def on(spec, x):
        return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))

    def block(x, w):
        x = on(BATCH, x)
        q, k, v = (jnp.einsum("bnd,dhk->bnhk", x, w[name]) for name in "qkv")
        weights = jax.nn.softmax(jnp.einsum("bnhk,bmhk->bhnm", q, k))
        attended = jnp.einsum("bhnm,bmhk->bnhk", weights, v)
        x = x + jnp.einsum("bnhk,hkd->bnd", attended, w["o"])
        return x + jax.nn.gelu(x @ w["up"]) @ w["down"], None

    def loss(params, x, labels):
        x, _ = jax.lax.scan(jax.checkpoint(block), x, params["blocks"])
        photo = on(P("fsdp"), x[:, 0])
        scores = on(P("fsdp", "model"), photo @ params["table"].T).astype(jnp.float32)
        picked = jnp.where(jnp.arange(ROWS)[None] == labels[:, None], scores, 0).sum(-1)
        return jnp.mean(jax.nn.logsumexp(scores, -1) - picked)

    def step(params, x, labels):
        value, gradient = jax.value_and_grad(loss)(params, x, labels)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), value

    projection, size = P(None, "fsdp"), WIDTH // HEADS
    blocks = {name: argument(mesh, (LAYERS, WIDTH, HEADS, size), projection) for name in "qkv"}
    blocks["o"] = argument(mesh, (LAYERS, HEADS, size, WIDTH), P(None, None, None, "fsdp"))
    blocks["up"] = argument(mesh, (LAYERS, WIDTH, HIDDEN), projection)
    blocks["down"] = argument(mesh, (LAYERS, HIDDEN, WIDTH), P(None, None, "fsdp"))
    params = {"blocks": blocks, "table": argument(mesh, (ROWS, WIDTH), P("model"))}
    photos = argument(mesh, (PHOTOS, TOKENS, WIDTH), BATCH)
    labels = argument(mesh, (PHOTOS,), BATCH, jnp.int32)
    return jax.jit(step, donate_argnums=0).lower(params, photos, labels)


def test_a_training_step(mesh):
    lowered = training_step(mesh)
    compiled = lowered.compile()
    program = parse_program(compiled.as_text())
    assert program.unknown_loops == ()

    projection = 2 * PHOTOS * TOKENS * WIDTH * WIDTH
    attention = 2 * PHOTOS * TOKENS * TOKENS * WIDTH
    mlp = 2 * PHOTOS * TOKENS * WIDTH * HIDDEN
    forward = 4 * projection + 2 * attention + 2 * mlp
    # Backward is twice forward; what is computed anew is forward but for the last product of a block, which
    # nothing in the backward pass needs. The table's three products follow.
    stack = LAYERS * (3 * forward + forward - mlp)
    assert matmul_flops(program).total == (stack + 3 * 2 * PHOTOS * WIDTH * ROWS) / 4
    # XLA counts the loops' bodies once.
    cost = compiled.cost_analysis()
    assert cost is not None and cost["flops"] < matmul_flops(program).total / 4

    found = {one.kind: one for one in collectives(program)}
    # Six parameters of each layer are gathered forward and backward, and the photos' vectors once.
    assert found["all-gather"].count == 2 * 6 * LAYERS + 1
    weights = 2 * (4 * WIDTH * WIDTH + 2 * WIDTH * HIDDEN) * LAYERS
    vectors = 2 * (PHOTOS // 2) * WIDTH
    assert found["all-gather"].bytes_received == 2 * weights / 2 + vectors / 2
    assert gathers_of_rows(program, ROWS) == ()
    assert len(gathers_of_rows(program, HIDDEN)) > 0


def test_reports_of_a_step_that_fits_and_of_one_that_does_not(mesh):
    chip = chip_of(mesh.devices.flat[0])
    setting = Setting("training step", "v5e:2x2", chip, dict(mesh.shape), PHOTOS)
    report = compile_and_report(training_step(mesh), setting, lower_seconds=0)
    assert report.fits and report.roofline is not None
    assert "4 x TPU v5e as 2 fsdp x 2 model: fits" in as_text(report)

    rows = argument(mesh, (2**20, 2**14), P("fsdp"), jnp.float32)
    large = jax.jit(lambda x: jnp.sort(x, 0)).lower(rows)
    report = compile_and_report(large, setting, lower_seconds=0)
    assert report.fits is False
    assert report.memory.total > report.memory.available
    # What the compiler allows is what the table of chips says.
    assert report.memory.available == chip.memory_bytes


@pytest.mark.parametrize(
    ("topology", "devices", "kind"),
    [
        ("v4:2x2x1", 4, "TPU v4"),
        ("v5e:1x1", 1, "TPU v5 lite"),
        ("v5p:2x2x1", 4, "TPU v5"),
        ("v6e:2x2", 4, "TPU v6 lite"),
        ("tpu7x:2x2x1", 8, "TPU7x"),
    ],
)
def test_memory_of_the_table_is_what_the_compiler_allows(topology, devices, kind):
    found = tpu_devices(topology)
    assert (len(found), found[0].device_kind) == (devices, kind)
    everywhere = Mesh(np.array(found), ("x",), axis_types=(AxisType.Auto,))
    much = argument(everywhere, (2**20, 2**17), P(), jnp.float32)
    setting = Setting("sort", topology, chip_of(found[0]), {"x": devices}, 1)
    report = compile_and_report(jax.jit(lambda x: jnp.sort(x, 0)).lower(much), setting, 0)
    assert report.fits is False
    assert report.memory.available == pytest.approx(CHIPS[kind].memory_bytes, abs=0.005 * GIB)


def test_a_slice_that_does_not_exist():
    with pytest.raises(ValueError, match="--topology=v9:2x2: .*expected one as v5e:16x16"):
        tpu_devices("v9:2x2")


def test_many_processes_compile_at_once():
    program = (
        "import sys, time; from geosurge_jax.compilation.topology import tpu_devices; "
        "print(len(tpu_devices('v5e:2x2')), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]
    try:
        # Each holds the compiler until its input is closed, which is after both have answered.
        answers = [process.stdout.readline().strip() for process in processes]
    finally:
        errors = [process.communicate()[1] for process in processes]
    assert answers == ["4", "4"], errors
    assert errors == ["", ""]
