"""Reliability diagram: what a posterior claims against what happens, drawn to PNG."""

from collections.abc import Mapping

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from geosurge_jax.evaluation.calibration import CalibrationSummary
from geosurge_jax.evaluation.curves import FAINT, INK, PAPER, png

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


def draw_reliability(summaries: Mapping[str, CalibrationSummary]) -> bytes:
    """Draws confidence against share of hits, one curve a data set; a calibrated one lies on the diagonal.

    Raises:
        ValueError: there is no data set.
    """
    if not summaries:
        raise ValueError("there is no calibration to draw")
    figure = Figure(figsize=(5.2, 4.6), dpi=150, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color=FAINT, linewidth=1.2)
    for place, (name, summary) in enumerate(summaries.items()):
        axes.plot(
            [100 * each.confidence for each in summary.bins],
            [100 * each.share for each in summary.bins],
            color=_COLORS[place % len(_COLORS)],
            linewidth=1.7,
            marker="o",
            markersize=4,
            label=f"{name}, ECE {100 * summary.calibration_error:.1f} %",
        )
    axes.set_xlabel("mass of the likeliest cell, %", color=INK, fontsize=9)
    axes.set_ylabel("photos whose truth is in it, %", color=INK, fontsize=9)
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_aspect("equal")
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(FAINT)
    axes.legend(loc="upper left", frameon=False, fontsize=8, labelcolor=INK)
    figure.tight_layout(pad=1.2)
    return png(figure)
