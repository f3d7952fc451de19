import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from geosurge_jax.compilation.chips import Chip, chip_of
from geosurge_jax.compilation.rendering import as_markdown, as_text
from geosurge_jax.compilation.report import Setting, compile_and_report

# A chip of round figures: 1 TFLOP/s (half of it for float32), 100 kB, 100 GB/s, 10 GB/s.
CHIP = Chip("test chip", 1e12, 5e11, 100_000, 1e11, 1e10, "made up")
MESH = {"data": 2, "fsdp": 4}


def setting(chip=CHIP):
    return Setting("training step", "live", chip, MESH, photos=32)


def lower():
    """A product whose result is summed over fsdp, the last argument donated."""
    mesh = Mesh(np.array(jax.devices()).reshape(2, 4), tuple(MESH), axis_types=(AxisType.Auto,) * 2)

    def argument(shape, spec):
        return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, spec))

    def function(x, w, old):
        return jax.lax.with_sharding_constraint(x @ w, NamedSharding(mesh, P("data"))) + old

    return jax.jit(function, donate_argnums=2).lower(
        argument((32, 64), P("data", "fsdp")),
        argument((64, 16), P("fsdp")),
        argument((32, 16), P("data")),
    )


class Failing:
    """A lowered program whose compilation fails with these words."""

    def __init__(self, message):
        self.message = message

    def compile(self):
        raise jax.errors.JaxRuntimeError(self.message)


@pytest.fixture(scope="module")
def report():
    return compile_and_report(lower(), setting(), lower_seconds=1.5)


def test_memory_of_a_chip(report):
    memory = report.memory
    arguments = 4 * (16 * 16 + 16 * 16 + 16 * 16)
    assert (memory.arguments, memory.outputs, memory.aliased) == (
        arguments,
        16 * 16 * 4,
        16 * 16 * 4,
    )
    assert memory.total == arguments + memory.temporaries + memory.code
    assert memory.headroom == 100_000 - memory.total
    assert report.fits


def test_work_and_bounds(report):
    cost, roofline = report.cost, report.roofline
    assert (cost.flops.narrow, cost.flops.wide) == (0, 2 * 16 * 16 * 16)
    (reduction,) = cost.collectives
    received = 2 * 16 * 16 * 4 * 3 / 4
    assert (reduction.kind, reduction.bytes_received) == ("all-reduce", received)
    assert cost.intensity == cost.flops.wide / cost.memory_traffic
    times = (cost.flops.wide / 5e11, cost.memory_traffic / 1e11, received / 1e10)
    assert roofline.compute_seconds == pytest.approx(times[0])
    assert roofline.memory_seconds == pytest.approx(times[1])
    assert roofline.interconnect_seconds == pytest.approx(times[2])
    assert roofline.overlapped_seconds == pytest.approx(max(times))
    assert roofline.serial_seconds == pytest.approx(sum(times))
    assert roofline.most_photos_per_second == pytest.approx(32 / max(times))
    assert roofline.least_photos_per_second == pytest.approx(32 / sum(times))


def test_json_holds_every_figure(report):
    found = json.loads(report.to_json())
    assert found["chips"] == 8
    assert found["memory"]["total"] == report.memory.total
    assert found["setting"]["mesh"] == MESH
    assert found["cost"]["collectives"][0]["largest"]["group"] == 4
    assert found["cost"]["flops"] == {"narrow": 0, "wide": 8192, "uncounted": []}


def test_lines_to_read(report):
    text = as_text(report)
    lines = text.splitlines()
    assert lines[0] == "training step, 32 photos, on live: 8 x test chip as 2 data x 4 fsdp: fits"
    assert 20 <= len(lines) <= 32
    assert max(map(len, lines)) <= 130
    for words in (
        "temporaries",
        "headroom",
        "all-reduce",
        "1 TFLOP/s",
        "lowered in 1.5 s",
        "made up",
    ):
        assert words in text
    assert as_markdown(report).startswith("### training step, 32 photos")
    table = [line for line in as_markdown(report).splitlines() if line.startswith("|")]
    assert all(line.count("|") == 3 for line in table)


def test_a_program_larger_than_the_chip_does_not_fit():
    small = Chip("test chip", 1e12, 5e11, 100, 1e11, 1e10, "made up")
    report = compile_and_report(lower(), setting(small), lower_seconds=0)
    assert report.fits is False and report.memory.headroom < 0
    assert "DOES NOT FIT" in as_text(report) and "too much" in as_text(report)


def test_a_chip_without_figures_has_no_bounds():
    chip = chip_of(jax.devices()[0])
    report = compile_and_report(lower(), setting(chip), lower_seconds=0)
    assert (report.fits, report.roofline, report.memory.headroom) == (None, None, None)
    assert "memory of the chip not known" in as_text(report)
    assert json.loads(report.to_json())["roofline"] is None


@pytest.mark.parametrize(
    ("message", "total", "available"),
    [
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries "
            "(272.00G) exceeds available HBM (15.75G).",
            272 * 2**30,
            15.75 * 2**30,
        ),
        (
            "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. "
            "Used 19.50G of 15.75G hbm. Exceeded hbm capacity by 3.75G.\n\nTotal hbm usage >= 20.00G: ...",
            19.5 * 2**30,
            15.75 * 2**30,
        ),
        ("RESOURCE_EXHAUSTED: some other words", None, 100_000),
    ],
)
def test_a_compiler_out_of_memory_is_a_report(message, total, available):
    report = compile_and_report(Failing(message), setting(), lower_seconds=0)
    assert report.fits is False
    assert (report.memory.total, report.memory.available) == (total, available)
    assert report.compiler_message == message.split("\n\n")[0]
    text = as_text(report)
    assert "DOES NOT FIT" in text and message.split("\n\n")[0] in text
    assert json.loads(report.to_json())["cost"] is None


def test_other_failures_of_the_compiler_are_failures():
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        compile_and_report(Failing("INTERNAL: no"), setting(), lower_seconds=0)
