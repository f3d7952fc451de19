import math
from types import SimpleNamespace

import jax
import pytest

from geosurge_jax.compilation.chips import CHIPS, chip_of


def device(kind, statistics):
    return SimpleNamespace(device_kind=kind, memory_stats=lambda: statistics)


@pytest.mark.parametrize("kind", CHIPS)
def test_rows_are_whole_and_in_the_right_units(kind):
    chip = CHIPS[kind]
    assert chip.source
    assert 1e14 < chip.peak_bf16_flops < 1e16
    assert chip.peak_f32_flops in (chip.peak_bf16_flops, pytest.approx(chip.peak_bf16_flops / 2))
    assert 1e10 < chip.memory_bytes < 1e12
    assert 5e11 < chip.memory_bandwidth < 1e13
    assert 5e10 < chip.interconnect_bandwidth < chip.memory_bandwidth
    assert all(math.isfinite(x) for x in (chip.peak_bf16_flops, chip.memory_bandwidth))


def test_a_live_device_says_itself_what_memory_it_may_take():
    assert chip_of(device("NVIDIA H200", {"bytes_limit": 5})).memory_bytes == 5
    assert chip_of(device("NVIDIA H200", None)) == CHIPS["NVIDIA H200"]


def test_what_has_no_row_has_no_peaks():
    chip = chip_of(jax.devices()[0])
    assert (chip.name, chip.peak_bf16_flops, chip.memory_bytes) == ("cpu", None, None)
