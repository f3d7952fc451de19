"""Curves of a training run, drawn to PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, FAINT, PAPER = "#1f2933", "#c9d1d9", "#ffffff"

# Okabe and Ito's palette without its yellow: told apart by colour-blind readers too.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1f2933")

_STYLES = ("-", "--", ":")
_LEGEND_INSIDE = 3  # more curves than this leave no free corner: their legend goes beside the panel
_SMOOTHED_FROM = 100  # points from which on a curve is drawn with its running mean


@dataclass(frozen=True)
class Curve:
    """One metric over training.

    Attributes:
        name: such as `train/loss` or `validation/accuracy/200km`.
        steps: ascending.
        values: one for each step.
    """

    name: str
    steps: Sequence[float] | np.ndarray
    values: Sequence[float] | np.ndarray


def draw_curves(curves: Sequence[Curve]) -> bytes:
    """Draws curves as PNG, those that share a quantity in one panel.

    `train/loss` and `validation/loss` share a panel; so do accuracies by radius
    (`validation/accuracy/200km`), accuracies by level (`validation/accuracy/level_3`) and losses by
    level.

    Raises:
        ValueError: there is no curve.
    """
    if not curves:
        raise ValueError("there is no curve to draw")
    panels: dict[str, list[tuple[_Title, Curve]]] = {}
    for curve in curves:
        title = _title(curve.name)
        panels.setdefault(title.quantity, []).append((title, curve))
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.3 * rows), dpi=150, facecolor=PAPER)
    FigureCanvasAgg(figure)
    for place, (quantity, shown) in enumerate(panels.items()):
        _draw_panel(figure.add_subplot(rows, columns, place + 1), quantity, shown)
    figure.tight_layout(pad=1.2)
    return png(figure)


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes, the same for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


@dataclass(frozen=True)
class _Title:
    """Where a curve is drawn and what it is called there: "validation", "200 km"."""

    quantity: str
    source: str
    member: str


def _title(name: str) -> _Title:
    *path, last = name.split("/")
    if path and path[-1] in ("accuracy", "loss"):
        by = "level" if last.startswith("level") else "radius"
        member = f"{last.removesuffix('km')} km" if last.endswith("km") else last.replace("_", " ")
        return _Title(f"{path[-1]} by {by}", "/".join(path[:-1]), member)
    return _Title(last.replace("_", " "), "/".join(path), "")


def _draw_panel(axes: Axes, quantity: str, shown: Sequence[tuple[_Title, Curve]]) -> None:
    percent = quantity.startswith("accuracy")
    sources = list(dict.fromkeys(title.source for title, _ in shown))
    members = list(dict.fromkeys(title.member for title, _ in shown))
    for title, curve in shown:
        # Colour tells the member where there are several, and the source where there is one.
        source, member = sources.index(title.source), members.index(title.member)
        number, style = (member, _STYLES[source % 3]) if len(members) > 1 else (source, "-")
        values = np.asarray(curve.values, np.float64) * (100 if percent else 1)
        label = ", ".join(filter(None, (title.source, title.member))) or curve.name
        _draw_curve(axes, curve.steps, values, _COLORS[number % len(_COLORS)], style, label)
    heading = f"{quantity}, %" if percent else quantity
    axes.set_title(heading, loc="left", color=INK, fontsize=11, fontweight="bold")
    axes.set_xlabel("step", color=INK, fontsize=9)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    legend = {"frameon": False, "fontsize": 8, "labelcolor": INK, "handlelength": 2.8}
    if len(shown) > _LEGEND_INSIDE:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), **legend)
    else:
        axes.legend(**legend)


def _draw_curve(
    axes: Axes,
    steps: Sequence[float] | np.ndarray,
    values: np.ndarray,
    color: str,
    style: str,
    label: str,
) -> None:
    """A line; a long curve as its running mean, with the curve itself faint behind it."""
    marker = "o" if len(values) <= 30 else None
    if len(values) >= _SMOOTHED_FROM:
        axes.plot(steps, values, color=color, linewidth=0.6, alpha=0.25)
        values = _running_mean(values)
    axes.plot(
        steps,
        values,
        color=color,
        linestyle=style,
        linewidth=1.7,
        marker=marker,
        markersize=3,
        label=label,
    )


def _running_mean(values: np.ndarray) -> np.ndarray:
    """The mean over a window of a fiftieth of the curve, centred, shorter at the ends."""
    half = max(len(values) // 100, 1)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    start, end = np.maximum(place - half, 0), np.minimum(place + half + 1, len(values))
    return (sums[end] - sums[start]) / (end - start)
