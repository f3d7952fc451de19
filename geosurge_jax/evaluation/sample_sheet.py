"""A sheet of photos of a data set, each with its class map beside it and where it was taken below."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from geosurge_jax.evaluation.curves import INK, PAPER, png

_ACROSS = 4
_LEGEND_ACROSS, _LEGEND_MOST = 8, 24
_ROW_INCHES, _LEGEND_ROW_INCHES = 2.35, 0.24
_UNKNOWN = np.array([200, 200, 200], np.uint8)


@dataclass(frozen=True)
class Sample:
    """One photo to be shown.

    Attributes:
        pixels: uint8 `[H, W, 3]`.
        class_map: uint8 `[h, w]`, of the same field of view.
        caption: a few short lines.
    """

    pixels: np.ndarray
    class_map: np.ndarray
    caption: str


def draw_samples(samples: Sequence[Sample], colours: np.ndarray, classes: Sequence[str]) -> bytes:
    """Photos beside their class maps, four pairs to a row; below, what the colours stand for.

    Args:
        samples: one or more.
        colours: uint8 `[256, 3]` of the classes; what is no class is shown in grey, whatever stands there.
        classes: names of the classes by number.

    Returns:
        PNG.
    """
    shown = np.where(np.arange(256)[:, None] < len(classes), colours, _UNKNOWN[None])
    entries = _legend(samples, shown, classes)
    rows, lines = -(-len(samples) // _ACROSS), -(-len(entries) // _LEGEND_ACROSS)
    heights = [_ROW_INCHES] * rows + [_LEGEND_ROW_INCHES * (lines + 1)]
    figure = Figure(figsize=(14, sum(heights)), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows + 1, 2 * _ACROSS, height_ratios=heights)
    for number, sample in enumerate(samples):
        row, column = divmod(number, _ACROSS)
        height, width = sample.pixels.shape[:2]
        photo, painted = (figure.add_subplot(grid[row, 2 * column + side]) for side in (0, 1))
        extent = (0, width, height, 0)
        photo.imshow(sample.pixels, extent=extent)
        painted.imshow(shown[sample.class_map], extent=extent, interpolation="nearest")
        photo.set_title(sample.caption, loc="left", color=INK, fontsize=6)
        photo.set_axis_off()
        painted.set_axis_off()
    below = figure.add_subplot(grid[rows, :])
    below.set_axis_off()
    below.legend(
        handles=entries,
        title="Share of these maps",
        loc="upper left",
        alignment="left",
        ncols=_LEGEND_ACROSS,
        frameon=False,
        labelcolor=INK,
        fontsize=8,
        title_fontsize=8,
        borderpad=0,
    )
    figure.tight_layout(pad=0.4)
    return png(figure)


def class_shares(class_maps: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over maps of the share of pixels that each of the 256 values has, float64 `[256]`."""
    counts = [np.bincount(class_map.ravel(), minlength=256) for class_map in class_maps]
    return np.mean([count / count.sum() for count in counts], axis=0)


def _legend(samples: Sequence[Sample], shown: np.ndarray, classes: Sequence[str]) -> list[Patch]:
    """The values that the maps have, the most frequent first."""
    shares = class_shares([sample.class_map for sample in samples]).tolist()
    order = [value for value in range(256) if shares[value]]
    order.sort(key=lambda value: -shares[value])
    named, others = order[:_LEGEND_MOST], order[_LEGEND_MOST:]
    entries = []
    for value in named:
        name = classes[value] if value < len(classes) else "unknown"
        color = tuple(shown[value] / 255)
        entries.append(Patch(color=color, label=f"{name}, {_percent(shares[value])}"))
    if others:
        rest = sum(shares[value] for value in others)
        entries.append(Patch(color=PAPER, label=f"{len(others)} others, {_percent(rest)}"))
    return entries


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "< 0.1%"
