"""What a compiled program costs a chip, and the times that the chip's peaks allow."""

from dataclasses import dataclass

from geosurge_jax.compilation.chips import Chip
from geosurge_jax.compilation.collectives import Collective, collectives
from geosurge_jax.compilation.matmul import MatmulFlops, matmul_flops
from geosurge_jax.compilation.memory_traffic import memory_traffic
from geosurge_jax.compilation.program import Program


@dataclass(frozen=True)
class Cost:
    """What one chip does in one run.

    Attributes:
        flops: of matrix products with operands of at most 16 bits, and of wider ones.
        memory_traffic: bytes read and written in the chip's memory, an estimate.
        intensity: FLOPs for each of those bytes.
        collectives: by kind, most bytes first.
        unknown_loops: while loops whose length is not known; their bodies count once.
    """

    flops: MatmulFlops
    memory_traffic: int
    intensity: float
    collectives: tuple[Collective, ...]
    unknown_loops: tuple[str, ...]


@dataclass(frozen=True)
class Roofline:
    """Times of one run at the chip's peaks: bounds, not predictions.

    Attributes:
        compute_seconds: matrix products.
        memory_seconds: memory traffic.
        interconnect_seconds: collectives.
        overlapped_seconds: the longest of the three: everything overlaps.
        serial_seconds: their sum: nothing overlaps.
        most_photos_per_second: over all chips, overlapped.
        least_photos_per_second: over all chips, serial.
    """

    compute_seconds: float
    memory_seconds: float
    interconnect_seconds: float
    overlapped_seconds: float
    serial_seconds: float
    most_photos_per_second: float
    least_photos_per_second: float


def cost_of(program: Program) -> Cost:
    """Counts what one chip does in one run of a program, which is one step of training."""
    flops, traffic = matmul_flops(program), memory_traffic(program)
    return Cost(
        flops=flops,
        memory_traffic=traffic,
        intensity=flops.total / max(traffic, 1),
        collectives=collectives(program),
        unknown_loops=program.unknown_loops,
    )


def roofline_of(cost: Cost, chip: Chip, photos: int) -> Roofline | None:
    """Divides the counts by the chip's peaks.

    Args:
        cost: of one run on one chip.
        chip: gives the peaks.
        photos: in one run, over all chips.

    Returns:
        The times and rates; None where the peaks are not known.
    """
    peaks = (chip.peak_bf16_flops, chip.peak_f32_flops)
    bandwidths = (chip.memory_bandwidth, chip.interconnect_bandwidth)
    if None in peaks or None in bandwidths:
        return None
    narrow, wide, memory, links = (float(figure or 0) for figure in (*peaks, *bandwidths))
    received = sum(one.bytes_received for one in cost.collectives)
    times = (
        cost.flops.narrow / narrow + cost.flops.wide / wide,
        cost.memory_traffic / memory,
        received / links,
    )
    # A program that does nothing at all would divide by zero.
    overlapped, serial = max(*times, 1e-12), max(sum(times), 1e-12)
    rates = (photos / overlapped, photos / serial)
    return Roofline(*times, overlapped, serial, *rates)
