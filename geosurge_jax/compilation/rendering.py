"""A compile report as lines to read: for the terminal, and as Markdown."""

from collections.abc import Iterable

from geosurge_jax.compilation.cost import Cost, Roofline
from geosurge_jax.compilation.report import CompileReport, Memory

# (heading, (label, text) pairs); a label is empty where a line continues the one above.
Section = tuple[str, list[tuple[str, str]]]


def as_text(report: CompileReport) -> str:
    """The report for a terminal, about 25 lines.

    Args:
        report: the report.

    Returns:
        Lines, ending in a newline.
    """
    lines = [headline(report)]
    for heading, rows in sections(report):
        lines += ["", heading]
        lines += [f"  {label:<20} {text}".rstrip() for label, text in rows]
    return "\n".join(lines) + "\n"


def as_markdown(report: CompileReport) -> str:
    """The same as a Markdown section with a table.

    Args:
        report: the report.

    Returns:
        Lines, ending in a newline.
    """
    lines = [f"### {headline(report)}"]
    for heading, rows in sections(report):
        lines += ["", f"| {heading} | |", "|---|---|"]
        lines += [f"| {label} | {text} |" for label, text in rows]
    return "\n".join(lines) + "\n"


def headline(report: CompileReport) -> str:
    """Program, chips, mesh and verdict in one line."""
    setting = report.setting
    mesh = " x ".join(f"{size} {axis}" for axis, size in setting.mesh.items())
    verdict = {True: "fits", False: "DOES NOT FIT", None: "memory of the chip not known"}[
        report.fits
    ]
    return (
        f"{setting.name}, {setting.photos} photos, on {setting.topology}: {setting.chips} x "
        f"{setting.chip.name} as {mesh}: {verdict}"
    )


def sections(report: CompileReport) -> list[Section]:
    """The figures in the order of reading; GB = 1e9 bytes throughout."""
    found = [("Memory of each chip (GB = 1e9 bytes)", list(_memory_rows(report.memory)))]
    if report.compiler_message is not None:
        found.append(("The compiler says", [("", report.compiler_message)]))
    if report.cost is not None:
        found.append(("Work of each chip in one run", list(_work_rows(report, report.cost))))
        rows = list(_collective_rows(report.cost))
        found.append(("Collectives, GB that each chip receives in one run", rows))
    if report.roofline is not None:
        found.append(("Bounds at the peaks of the chip", list(_time_rows(report, report.roofline))))
    seconds = f"lowered in {report.lower_seconds:.1f} s, compiled in {report.compile_seconds:.1f} s"
    figures = ("figures of the chip", report.setting.chip.source)
    return [*found, ("Made", [("time", seconds), figures])]


def _gigabytes(count: int | None) -> str:
    """Bytes in GB, three digits of those below ten."""
    if count is None:
        return "not known"
    value = count / 1e9
    return f"{value:.3f} GB" if abs(value) < 10 else f"{value:.1f} GB"


def _memory_rows(memory: Memory) -> Iterable[tuple[str, str]]:
    """What lies in memory, and whether there is room."""
    if memory.arguments is not None:
        yield "arguments", _gigabytes(memory.arguments)
        in_place = f", {_gigabytes(memory.aliased)} of them in place of arguments"
        yield "outputs", _gigabytes(memory.outputs) + in_place
        yield "temporaries", _gigabytes(memory.temporaries)
        yield "program", _gigabytes(memory.code)
    total = _gigabytes(memory.total)
    if memory.available is None or memory.headroom is None:
        yield "total", total
    elif memory.headroom < 0:
        over = f"{_gigabytes(-memory.headroom)} too much"
        yield "total", f"{total} of {_gigabytes(memory.available)}: {over}"
    else:
        share = memory.headroom / memory.available
        left = f"headroom {_gigabytes(memory.headroom)} ({share:.0%})"
        yield "total", f"{total} of {_gigabytes(memory.available)}: {left}"


def _work_rows(report: CompileReport, cost: Cost) -> Iterable[tuple[str, str]]:
    """FLOPs, bytes, and their ratio against the chip's."""
    flops = cost.flops
    kinds = f"{flops.narrow / 1e12:.4g} of 16 bits, {flops.wide / 1e12:.4g} of 32"
    yield "matrix products", f"{flops.total / 1e12:.4g} TFLOP: {kinds}"
    if report.setting.expected_flops:
        expected = report.setting.expected_flops / report.setting.chips
        times = f"the program does {flops.total / expected:.2f} times that"
        yield "by the formula", f"{expected / 1e12:.4g} TFLOP, nothing computed twice: {times}"
    if flops.uncounted:
        yield "not counted", f"products inside {', '.join(flops.uncounted)}"
    if cost.unknown_loops:
        yield "counted once", f"loops of unknown length: {', '.join(cost.unknown_loops)}"
    yield "memory traffic", f"{_gigabytes(cost.memory_traffic)} (estimate)"
    chip, balance = report.setting.chip, ""
    if chip.peak_bf16_flops and chip.memory_bandwidth:
        balance = f"; the chip's peaks are at {chip.peak_bf16_flops / chip.memory_bandwidth:.0f}"
    yield "intensity", f"{cost.intensity:.0f} FLOP a byte{balance}"


def _collective_rows(cost: Cost) -> Iterable[tuple[str, str]]:
    """One line a kind, and where its largest comes from."""
    if not cost.collectives:
        yield "none", ""
    for one in cost.collectives:
        largest = one.largest
        yield one.kind, f"{_gigabytes(one.bytes_received)} in {one.count}"
        shapes = largest.shapes if len(largest.shapes) <= 40 else largest.shapes[:37] + "..."
        where = largest.op_name if len(largest.op_name) <= 60 else "..." + largest.op_name[-57:]
        size = _gigabytes(largest.bytes_received)
        yield (
            "",
            f"largest {size}: {shapes} among {largest.group}, {where or 'made by the compiler'}",
        )


def _time_rows(report: CompileReport, roofline: Roofline) -> Iterable[tuple[str, str]]:
    """Times and rates at the peaks."""
    chip = report.setting.chip
    peaks = (
        chip.peak_bf16_flops or 0,
        chip.memory_bandwidth or 0,
        chip.interconnect_bandwidth or 0,
    )
    yield (
        "matrix products",
        f"{_milliseconds(roofline.compute_seconds)} at {peaks[0] / 1e12:.0f} TFLOP/s",
    )
    yield "memory", f"{_milliseconds(roofline.memory_seconds)} at {peaks[1] / 1e9:.0f} GB/s"
    links = f"at {peaks[2] / 1e9:.0f} GB/s, all links receiving at once"
    yield "interconnect", f"{_milliseconds(roofline.interconnect_seconds)} {links}"
    best, worst = (
        _milliseconds(roofline.overlapped_seconds),
        _milliseconds(roofline.serial_seconds),
    )
    yield "one run", f"{best} with everything overlapped, {worst} with nothing"
    most, least = roofline.most_photos_per_second, roofline.least_photos_per_second
    yield "photos a second", f"{most:.0f} overlapped, {least:.0f} not, over all chips"


def _milliseconds(seconds: float) -> str:
    """A time in ms."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds * 1e3:.0f} ms"
