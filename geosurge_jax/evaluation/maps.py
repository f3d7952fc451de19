"""World maps of predictions and errors, drawn to PNG in the Equal Earth projection."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geosurge_jax.evaluation.curves import INK, PAPER, png
from geosurge_jax.evaluation.metrics import RADII_KM
from geosurge_jax.geo import land_outlines, latlng_from_unit_vectors, unit_vectors

_SEA, _LAND, _GRID = "#eef2f6", "#d7dbdf", "#dfe5ea"

# From near to far: the last is for what lies beyond the largest radius.
_NEAR_TO_FAR = ("#08519c", "#2b8cbe", "#41ab5d", "#e3b505", "#f07f09", "#b2182b")

_STRENGTH = (1.0, 1.0, 1.0, 0.9, 0.7, 0.4)

_POINTS_ALONG_A_LINE = 41
_MOST_LINES = 2000


def equal_earth(latlng: np.ndarray) -> np.ndarray:
    """Projects degrees `[..., 2]` to map coordinates `[..., 2]`, x east and y north, equal in area.

    Source: Savric, Patterson and Jenny, "The Equal Earth map projection", 2018; its four
      coefficients.
    """
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    latitude, longitude = np.radians(latlng[..., 0]), np.radians(latlng[..., 1])
    theta = np.arcsin(np.sqrt(3) / 2 * np.sin(latitude))
    slope = 9 * a4 * theta**8 + 7 * a3 * theta**6 + 3 * a2 * theta**2 + a1
    x = 2 * np.sqrt(3) * longitude * np.cos(theta) / (3 * slope)
    y = a4 * theta**9 + a3 * theta**7 + a2 * theta**3 + a1 * theta
    return np.stack([x, y], axis=-1)


def great_circle_lines(a: np.ndarray, b: np.ndarray) -> list[list[np.ndarray]]:
    """The shortest ways between points in degrees `[M, 2]`, cut at the antimeridian.

    Returns:
        For each pair one or two pieces, degrees `[N, 2]` each.
    """
    start, end = unit_vectors(a), unit_vectors(b)
    angle = np.arccos(np.clip(np.sum(start * end, axis=1), -1, 1))[:, None]
    along = np.linspace(0, 1, _POINTS_ALONG_A_LINE)
    # The weights are equal to sin(...) / sin(angle) up to a factor that the conversion to degrees
    # drops.
    first, second = np.sin((1 - along) * angle), np.sin(along * angle)
    still = angle < 1e-6
    first, second = np.where(still, 1 - along, first), np.where(still, along, second)
    points = first[..., None] * start[:, None] + second[..., None] * end[:, None]
    lines = latlng_from_unit_vectors(points)
    return [cut_at_antimeridian(line) for line in lines]


def cut_at_antimeridian(line: np.ndarray) -> list[np.ndarray]:
    """The pieces of a line of points in degrees `[N, 2]` that do not jump from one edge to the other."""
    return np.split(line, np.flatnonzero(np.abs(np.diff(line[:, 1])) > 180) + 1)


def draw_error_map(
    truth: np.ndarray,
    prediction: np.ndarray,
    distance_km: np.ndarray,
    title: str,
    radii_km: Sequence[float] = RADII_KM,
    seed: int = 0,
) -> bytes:
    """A world map: each photo at its true place, with a line to the predicted place.

    Colour tells the distance. Of more than 2000 photos a random 2000 are drawn, as the map then
    says; the shares in the legend are those of all.

    Args:
        truth: degrees `[M, 2]`.
        prediction: degrees `[M, 2]`.
        distance_km: `[M]`.
        title: printed above.
        radii_km: where the colour changes, five ascending radii.
        seed: of the choice of photos.

    Returns:
        PNG.

    Raises:
        ValueError: there is no photo, or not one radius for each change of colour.
    """
    if not len(truth):
        raise ValueError("there is no photo to draw a map of")
    if len(radii_km) != len(_NEAR_TO_FAR) - 1:
        raise ValueError(f"radii_km is {radii_km}, expected {len(_NEAR_TO_FAR) - 1} radii")
    classes = np.searchsorted(np.asarray(radii_km), distance_km, side="left")
    shares = np.bincount(classes, minlength=len(_NEAR_TO_FAR)) / len(classes)
    figure = Figure(figsize=(11, 6.1), dpi=150, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.09, 0.98, 0.83))
    draw_world(axes)
    shown = np.arange(len(truth))
    if len(shown) > _MOST_LINES:
        shown = np.sort(np.random.default_rng(seed).choice(shown, _MOST_LINES, replace=False))
        title = f"{title} ({_MOST_LINES} of {len(truth)} photos drawn)"
    # Far ones first, so that the near ones stay visible.
    shown = shown[np.argsort(-distance_km[shown], kind="stable")]
    _draw_errors(axes, truth[shown], prediction[shown], classes[shown])
    figure.text(0.02, 0.945, title, color=INK, fontsize=13, fontweight="bold")
    _draw_legend(figure, radii_km, shares)
    return png(figure)


def draw_world(axes: Axes) -> None:
    """Sea, land, meridians and parallels in the Equal Earth projection, filling the axes."""
    edge_latitude = np.linspace(-90, 90, 181)
    west, east = (np.stack([edge_latitude, np.full(181, side)], axis=-1) for side in (-180, 180))
    globe = equal_earth(np.concatenate([west, east[::-1]]))
    sea = PolyCollection([globe], facecolor=_SEA, edgecolor="none", zorder=0)
    axes.add_collection(sea)
    meridians = [np.stack([edge_latitude, np.full(181, east)], -1) for east in range(-150, 180, 30)]
    ends = np.array([-180.0, 180.0])  # a parallel is a straight line in this projection
    parallels = [np.stack([np.full(2, north), ends], -1) for north in range(-60, 90, 30)]
    grid = [equal_earth(line) for line in (*meridians, *parallels)]
    axes.add_collection(LineCollection(grid, colors=_GRID, linewidths=0.6, zorder=1))
    land = [equal_earth(_densified(ring)) for ring in land_outlines()]
    axes.add_collection(
        PolyCollection(land, facecolor=_LAND, edgecolor=PAPER, linewidths=0.5, zorder=2)
    )
    axes.set_xlim(globe[:, 0].min() * 1.005, globe[:, 0].max() * 1.005)
    axes.set_ylim(globe[:, 1].min() * 1.01, globe[:, 1].max() * 1.01)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _densified(ring: np.ndarray) -> np.ndarray:
    """A ring with a point every two degrees, so that its edges bend with the projection."""
    closed = np.concatenate([ring, ring[:1]])
    length = np.abs(np.diff(closed, axis=0)).max(axis=1)
    place = np.concatenate([[0.0], np.cumsum(np.maximum(np.ceil(length / 2), 1))])
    every = np.arange(int(place[-1]) + 1)
    return np.stack([np.interp(every, place, closed[:, axis]) for axis in (0, 1)], axis=-1)


def _draw_errors(
    axes: Axes, truth: np.ndarray, prediction: np.ndarray, classes: np.ndarray
) -> None:
    colors = np.array(_NEAR_TO_FAR)[classes]
    lines = great_circle_lines(truth, prediction)
    pieces = [equal_earth(piece) for line in lines for piece in line]
    piece_colors = [color for color, line in zip(colors, lines, strict=True) for _ in line]
    # The more photos, the fainter each line; long lines, which cover the map, fainter than short.
    strength = float(np.clip(8 / np.sqrt(len(truth)), 0.1, 0.7)) * np.array(_STRENGTH)[classes]
    piece_strength = np.repeat(strength, [len(line) for line in lines])
    axes.add_collection(
        LineCollection(pieces, colors=piece_colors, linewidths=0.7, alpha=piece_strength, zorder=3)
    )
    predicted, true = equal_earth(prediction), equal_earth(truth)
    size = float(np.clip(4000 / len(truth), 5, 22))
    axes.scatter(
        *predicted.T, s=0.7 * size, marker="x", color=INK, linewidths=0.6, alpha=0.5, zorder=4
    )
    axes.scatter(*true.T, s=size, c=colors, edgecolors=PAPER, linewidths=0.3, zorder=5)


def _draw_legend(figure: Figure, radii_km: Sequence[float], shares: np.ndarray) -> None:
    between = zip(radii_km, radii_km[1:], strict=False)
    names = [
        f"≤ {radii_km[0]:g} km",
        *(f"{near:g}–{far:g} km" for near, far in between),
        f"> {radii_km[-1]:g} km",
    ]
    handles = [
        Line2D([], [], color=color, marker="o", linewidth=1.2, markersize=5)
        for color in _NEAR_TO_FAR
    ]
    labels = [f"{name}: {100 * share:.1f} %" for name, share in zip(names, shares, strict=True)]
    handles.append(Line2D([], [], color=INK, marker="x", linewidth=0, markersize=5))
    labels.append("predicted place")
    figure.legend(
        handles,
        labels,
        loc="lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        columnspacing=1.3,
        handletextpad=0.5,
        bbox_to_anchor=(0.5, 0.01),
    )
