"""What the vendors say of their chips: peaks, memory and links, each row with its source."""

from dataclasses import dataclass, replace
from typing import Any

import jax

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """One JAX device; the figures of a chip that shows itself as two devices are halved.

    Attributes:
        name: as people call it.
        peak_bf16_flops: dense matrix products of bfloat16 operands, FLOP/s; None where not known.
        peak_f32_flops: of float32 operands at JAX's default precision, FLOP/s: one bfloat16 pass on a TPU,
            TF32 on a GPU.
        memory_bytes: memory that a program may use. TPUs: what their compiler allows. GPUs: the capacity on
            the data sheet, or for a live device what its allocator may take.
        memory_bandwidth: of that memory, bytes/s.
        interconnect_bandwidth: bytes/s that a chip can receive over all its links at once. A collective
            over one axis of a torus, or across GPU boxes, gets less.
        source: where the figures stand.
    """

    name: str
    peak_bf16_flops: float | None
    peak_f32_flops: float | None
    memory_bytes: int | None
    memory_bandwidth: float | None
    interconnect_bandwidth: float | None
    source: str


# For all TPUs memory_bytes is what the compiler of libtpu 0.0.42.1 says is available when a program does not
# fit ("exceeds available HBM (15.75G)"); the vendor gives the link bandwidth of both directions together.
_TPU_DOCS = "cloud.google.com/tpu/docs"
_TPU_TABLE = f"{_TPU_DOCS}/tpu7x, comparison of v5p, v6e and TPU7x"


def _tpu(name: str, peak: float, gib: float, memory: float, links: float, source: str) -> Chip:
    """A TPU from TFLOP/s, GiB, GB/s of memory and GB/s of all links in one direction."""
    return Chip(name, peak * 1e12, peak * 1e12, round(gib * GIB), memory * 1e9, links * 1e9, source)


def _gpu(
    name: str, peaks: tuple[float, float], gigabytes: int, memory: float, links: float, source: str
) -> Chip:
    """A GPU from TFLOP/s of bfloat16 and TF32, GB, GB/s of memory and GB/s of NVLink in one direction."""
    bf16, tf32 = peaks
    capacity = gigabytes * 10**9
    return Chip(name, bf16 * 1e12, tf32 * 1e12, capacity, memory * 1e9, links * 1e9, source)


_A100 = (312.0, 156.0)
_HOPPER = (989.4, 494.7)

# By `device_kind`.
CHIPS: dict[str, Chip] = {
    "TPU v4": _tpu(
        "TPU v4",
        275,
        30.75,
        1200,
        300,
        "Jouppi et al. 2023, arXiv:2304.01433 (six links of 50 GB/s)",
    ),
    "TPU v5 lite": _tpu(
        "TPU v5e", 197, 15.75, 819, 200, f"{_TPU_DOCS}/v5e (interconnect 400 GB/s both ways)"
    ),
    "TPU v5": _tpu("TPU v5p", 459, 95.74, 2765, 600, _TPU_TABLE),
    "TPU v6 lite": _tpu("TPU v6e", 918, 31.25, 1638, 400, _TPU_TABLE),
    "TPU7x": _tpu("TPU7x half", 2307 / 2, 94.75, 7380 / 2, 600 / 2, _TPU_TABLE),
    "NVIDIA A100-SXM4-40GB": _gpu(
        "A100 40 GB SXM", _A100, 40, 1555, 300, "NVIDIA A100 Tensor Core GPU data sheet (2020)"
    ),
    "NVIDIA A100-SXM4-80GB": _gpu(
        "A100 80 GB SXM", _A100, 80, 2039, 300, "NVIDIA A100 Tensor Core GPU data sheet (2021)"
    ),
    "NVIDIA H100 80GB HBM3": _gpu(
        "H100 SXM",
        _HOPPER,
        80,
        3350,
        450,
        "NVIDIA H100 Tensor Core GPU data sheet, without sparsity",
    ),
    "NVIDIA H200": _gpu(
        "H200 SXM",
        _HOPPER,
        141,
        4800,
        450,
        "NVIDIA H200 Tensor Core GPU data sheet, without sparsity",
    ),
    "NVIDIA RTX A6000": _gpu(
        "RTX A6000",
        (154.8, 77.4),
        48,
        768,
        56.25,
        "NVIDIA Ampere GA102 GPU Architecture white paper 2.0, appendix C, without sparsity; NVLink bridge "
        "of two",
    ),
}


def chip_of(device: Any) -> Chip:
    """The figures of a device, live or of a topology.

    Args:
        device: a `jax.Device`, one of `jax.devices()` or of `tpu_devices(...)`.

    Returns:
        The row of `CHIPS`, the memory of a live device being what its allocator may take; a row without
        peaks for a CPU or a chip that has no row.
    """
    kind = device.device_kind
    chip = CHIPS.get(kind) or Chip(kind, None, None, None, None, None, "no figures for this device")
    try:
        statistics = device.memory_stats() or {}
    except jax.errors.JaxRuntimeError:  # a device that is only compiled for
        statistics = {}
    limit = statistics.get("bytes_limit")
    return chip if limit is None else replace(chip, memory_bytes=int(limit))
