"""Which of many outlines holds a point: the even-odd rule over bands of latitude."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_BANDS = 180  # of one degree of latitude: a point is compared with the edges of its band alone
_COMPARISONS_AT_A_TIME = 4_000_000


@dataclass(frozen=True, eq=False)
class _Edges:
    """Edges that reach into one band of latitude, `[E]` each, sorted by owner.

    An edge runs from (latitude, longitude) to `end_latitude` and gains `slope` degrees of longitude
    for each degree of latitude. The edges of `owners[i]` begin at `starts[i]`.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    end_latitude: np.ndarray
    slope: np.ndarray
    owners: np.ndarray
    starts: np.ndarray


class Outlines:
    """Closed rings on the latitude-longitude plane, each with an owner (a continent, a country).

    No ring crosses the antimeridian. Safe to use from several threads.
    """

    def __init__(self, rings: Sequence[np.ndarray], owners: np.ndarray) -> None:
        """Sort the edges of the rings.

        Args:
            rings: Degrees `[V, 2]` each, closed from the last point to the first.
            owners: Integer `[len(rings)]`, owner of each ring, at least 0.
        """
        start = np.concatenate(rings)
        lengths = np.array([len(ring) for ring in rings])
        ends = np.cumsum(lengths)
        following = np.arange(1, len(start) + 1)
        following[ends - 1] = ends - lengths  # the last point of a ring is joined to its first
        end = start[following]
        owner = np.repeat(np.asarray(owners, np.int32), lengths)
        rises = start[:, 0] != end[:, 0]  # an edge along a parallel separates nothing
        order = np.argsort(owner[rises], kind="stable")
        self._start, self._end = start[rises][order], end[rises][order]
        self._owner = owner[rises][order]
        self._bands: dict[int, _Edges] = {}

    def containing(self, latlng: np.ndarray) -> np.ndarray:
        """Return the owner of the outline that holds each point.

        Args:
            latlng: Degrees, float64 `[M, 2]`.

        Returns:
            int32 `[M]`; -1 outside all outlines, the lowest owner where outlines overlap.
        """
        latitude = latlng[:, 0]
        longitude = np.where(latlng[:, 1] >= 180.0, latlng[:, 1] - 360.0, latlng[:, 1])
        band = np.clip(np.floor(latitude).astype(np.int64) + 90, 0, _BANDS - 1)
        order = np.argsort(band, kind="stable")
        found = np.full(len(latlng), -1, np.int32)
        present, starts = np.unique(band[order], return_index=True)
        for index, rows in zip(present.tolist(), np.split(order, starts[1:]), strict=False):
            edges = self._band(index)
            if not len(edges.owners):
                continue
            for piece in pieces(rows, max(1, _COMPARISONS_AT_A_TIME // len(edges.slope))):
                y, x = latitude[piece, None], longitude[piece, None]
                straddles = (edges.latitude <= y) != (edges.end_latitude <= y)
                east = x < edges.longitude + (y - edges.latitude) * edges.slope
                crossings = (straddles & east).astype(np.int32)
                inside = np.add.reduceat(crossings, edges.starts, axis=1) % 2 == 1
                owner = edges.owners[np.argmax(inside, axis=1)]
                found[piece] = np.where(inside.any(axis=1), owner, -1)
        return found

    def _band(self, index: int) -> _Edges:
        """Return the edges that reach into latitudes `index - 90` to `index - 89`."""
        if index not in self._bands:
            south = index - 90
            first, last = self._start[:, 0], self._end[:, 0]
            held = (np.minimum(first, last) <= south + 1) & (np.maximum(first, last) >= south)
            start, end = self._start[held], self._end[held]
            slope = (end[:, 1] - start[:, 1]) / (end[:, 0] - start[:, 0])
            owners, starts = np.unique(self._owner[held], return_index=True)
            # Two threads may both come here; they store equal values.
            self._bands[index] = _Edges(
                start[:, 0], start[:, 1], end[:, 0], slope, owners.astype(np.int32), starts
            )
        return self._bands[index]


def pieces(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Cut `rows` into pieces of at most `size`."""
    return (rows[start : start + size] for start in range(0, len(rows), size))
