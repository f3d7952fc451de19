"""Which country's outline holds a point: Natural Earth's 1:50m countries, by the even-odd rule.

The outlines are generalised: a border or a coast lies within about 3 km of the true one.
"""

import functools
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

COORDINATES_PER_DEGREE = 10_000  # the fixed point of the shipped tables

_BANDS_PER_DEGREE = 4  # a point is compared with the edges of its band of latitude alone


@dataclass(frozen=True, eq=False)
class Countries:
    """Countries and territories, `[C]`.

    `codes` are ISO 3166-1 alpha-2, empty where there is none. `outline` uint16 `[C]` is the country
    whose outline holds each territory: itself for nearly all. `has_outline` is bool `[C]`.
    """

    codes: list[str]
    names: list[str]
    outline: np.ndarray
    has_outline: np.ndarray


@dataclass(frozen=True, eq=False)
class _Edges:
    """Edges in the order of their bands; those of band b are rows `starts[b]` to `starts[b + 1]`."""

    start: np.ndarray  # degrees [E, 2]
    end: np.ndarray  # degrees [E, 2]
    country: np.ndarray  # int64 [E]
    starts: np.ndarray  # int64, bands + 1


def text_lines(array: np.ndarray) -> list[str]:
    """Return the lines of a text that is stored as UTF-8 in a uint8 array."""
    return array.tobytes().decode("utf-8").split("\n")


def load_place_table(name: str) -> dict[str, np.ndarray]:
    """Return the arrays of one shipped table."""
    with (
        (files("geosurge_jax.geo") / "place_data" / name).open("rb") as file,
        np.load(file) as table,
    ):
        return dict(table)


@functools.cache
def load_countries() -> Countries:
    """Return the countries of the shipped table."""
    table = load_place_table("outlines.npz")
    codes = text_lines(table["codes"])
    has_outline = np.zeros(len(codes), bool)
    has_outline[table["ring_country"]] = True
    return Countries(codes, text_lines(table["names"]), table["outline"].astype(int), has_outline)


def containing_country(latlng: np.ndarray) -> np.ndarray:
    """Return the country whose outline holds each point.

    Args:
        latlng: degrees, float64 `[M, 2]`, longitude in [-180, 180).

    Returns:
        int64 `[M]`, indices in `load_countries()`; -1 outside all outlines.
    """
    edges = _load_edges()
    count = len(load_countries().codes)
    band = _band(latlng[:, 0])
    order = np.argsort(band, kind="stable")
    found = np.full(len(latlng), -1)
    bands, first = np.unique(band[order], return_index=True)
    for index, rows in zip(bands, np.split(order, first[1:]), strict=True):
        held = slice(edges.starts[index], edges.starts[index + 1])
        start, end = edges.start[held], edges.end[held]
        # Pieces keep the comparison of all points of a band with all its edges small.
        for piece in np.array_split(rows, len(rows) // 512 + 1):
            y, x = latlng[piece, :1], latlng[piece, 1:]
            straddles = (start[:, 0] <= y) != (end[:, 0] <= y)
            row, edge = np.nonzero(straddles)
            part = (y[row, 0] - start[edge, 0]) / (end[edge, 0] - start[edge, 0])
            crossing = start[edge, 1] + part * (end[edge, 1] - start[edge, 1])
            east = x[row, 0] < crossing
            key = row[east] * count + edges.country[held][edge[east]]
            odd = np.bincount(key, minlength=len(piece) * count).reshape(-1, count) % 2 == 1
            found[piece] = np.where(odd.any(axis=1), np.argmax(odd, axis=1), -1)
    return found


def _band(latitude: np.ndarray) -> np.ndarray:
    band = np.floor((latitude + 90.0) * _BANDS_PER_DEGREE).astype(np.int64)
    return np.clip(band, 0, 180 * _BANDS_PER_DEGREE - 1)


@functools.cache
def _load_edges() -> _Edges:
    table = load_place_table("outlines.npz")
    start = table["latlng"].T / COORDINATES_PER_DEGREE
    length = table["ring_length"]
    following = np.arange(1, len(start) + 1)
    last = np.cumsum(length) - 1
    following[last] = last - length + 1
    end = start[following]
    country = np.repeat(table["ring_country"].astype(np.int64), length)
    rises = start[:, 0] != end[:, 0]  # an edge along a parallel separates nothing
    start, end, country = start[rises], end[rises], country[rises]
    lowest = _band(np.minimum(start[:, 0], end[:, 0]))
    touched = _band(np.maximum(start[:, 0], end[:, 0])) - lowest + 1
    edge = np.repeat(np.arange(len(start)), touched)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(touched) - touched, touched)
    band = lowest[edge] + within
    order = np.argsort(band, kind="stable")
    edge = edge[order]
    starts = np.searchsorted(band[order], np.arange(180 * _BANDS_PER_DEGREE + 1))
    return _Edges(start[edge], end[edge], country[edge], starts)
