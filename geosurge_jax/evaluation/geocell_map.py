"""World maps of photos and of geocells, drawn to PNG in the Equal Earth projection."""

from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from geosurge_jax.evaluation.curves import INK, PAPER, png
from geosurge_jax.evaluation.maps import cut_at_antimeridian, draw_world, equal_earth
from geosurge_jax.geo import Partition, cell_outlines

_LINE, _POINT = "#08519c", "#b2182b"
_MOST_POINTS = 50_000


def draw_geocells(partitions: Mapping[str, Partition]) -> bytes:
    """A map for each partition, with the outlines of its cells.

    Args:
        partitions: by title.

    Returns:
        PNG.
    """
    figure = Figure(figsize=(11, 5.6 * len(partitions)), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(partitions), 1, squeeze=False)
    for axes, (title, partition) in zip(grid[:, 0], partitions.items(), strict=True):
        draw_world(axes)
        outlines = cell_outlines(partition.ids)
        closed = np.concatenate([outlines, outlines[:, :1]], axis=1)
        axes.add_collection(
            LineCollection(_projected(closed), colors=_LINE, linewidths=0.4, zorder=3)
        )
        axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold")
    figure.tight_layout()
    return png(figure)


def _projected(lines: np.ndarray) -> list[np.ndarray]:
    """Lines in degrees `[M, N, 2]` on the map; the few that cross its edge come in pieces."""
    cut = np.any(np.abs(np.diff(lines[..., 1], axis=1)) > 180, axis=1)
    pieces = [equal_earth(piece) for line in lines[cut] for piece in cut_at_antimeridian(line)]
    return [*equal_earth(lines[~cut]), *pieces]


def draw_photos(latlng: np.ndarray, title: str, seed: int = 0) -> bytes:
    """A map with a point for each photo; of more than 50,000 a random 50,000, as the title then says.

    Args:
        latlng: degrees `[M, 2]`.
        title: printed above.
        seed: of the choice.

    Returns:
        PNG.
    """
    shown = latlng
    if len(shown) > _MOST_POINTS:
        chosen = np.random.default_rng(seed).choice(len(shown), _MOST_POINTS, replace=False)
        shown = shown[chosen]
        title = f"{title} ({_MOST_POINTS:,} of {len(latlng):,} drawn)"
    figure = Figure(figsize=(11, 5.8), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw_world(axes)
    size, strength = (6.0, 0.6) if len(shown) < 5000 else (1.0, 0.25)
    axes.scatter(*equal_earth(shown).T, s=size, c=_POINT, alpha=strength, linewidths=0, zorder=3)
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold")
    figure.tight_layout()
    return png(figure)
