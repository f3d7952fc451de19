"""A sheet of photos of a data set, each with its class map beside it and where it was taken below."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from geosurge_jax.evaluation.curves import INK, PAPER, png

_ACROSS = 4
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


def draw_samples(samples: Sequence[Sample], colours: np.ndarray) -> bytes:
    """Photos beside their class maps, four pairs to a row.

    Args:
        samples: one or more.
        colours: uint8 `[256, 3]` of the classes; black stands for what is no class, and is shown in grey.

    Returns:
        PNG.
    """
    shown = np.where(np.any(colours, axis=1, keepdims=True), colours, _UNKNOWN[None])
    rows = -(-len(samples) // _ACROSS)
    figure = Figure(figsize=(14, 2.35 * rows), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, 2 * _ACROSS, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for number, sample in enumerate(samples):
        row, column = divmod(number, _ACROSS)
        height, width = sample.pixels.shape[:2]
        photo, painted = grid[row, 2 * column], grid[row, 2 * column + 1]
        extent = (0, width, height, 0)
        photo.imshow(sample.pixels, extent=extent)
        painted.imshow(shown[sample.class_map], extent=extent, interpolation="nearest")
        photo.set_title(sample.caption, loc="left", color=INK, fontsize=6)
    figure.tight_layout(pad=0.4)
    return png(figure)
