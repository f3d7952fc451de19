"""S2 cells over whole arrays: cell ids, parents, tokens, centres and ranges.

The S2 geometry projects the sphere onto the six faces of a cube, bends each face by a quadratic so
that its cells come out nearly equal in area, and numbers the cells of a face along a Hilbert curve.
An id is a uint64: three bits of face, two bits a level of position on the curve, then a single 1
bit that marks the level, then zeros. So the descendants of a cell are one interval of ids, and
sorting ids keeps neighbours together. Definition: https://s2geometry.io/devguide/s2cell_hierarchy.

Ids equal those of the `s2sphere` package bit for bit (the tests compare them); this module exists
because that one takes 12 us a point.
"""

from collections.abc import Iterator

import numpy as np

from geosurge_jax.geo.curve import (
    MAX_LEVEL,
    face_ij,
    face_ij_from_ids,
    ids_from_face_ij,
    latlng_from_face_places,
)

_CHUNK = 1 << 14  # points at a time, so that all temporaries stay in the L2 cache


def check_latlng(latlng: np.ndarray) -> np.ndarray:
    """Returns `latlng` as float64 [M, 2] after checking every row.

    Args:
        latlng: degrees, latitude first, [M, 2], any real dtype.

    Raises:
        ValueError: wrong shape, or a row that is not finite, or whose latitude is outside [-90, 90]
            or longitude outside [-180, 180]; names the first such row and its value.
    """
    latlng = np.asarray(latlng)
    if latlng.ndim != 2 or latlng.shape[1] != 2:
        raise ValueError(
            f"latlng has shape {latlng.shape}, expected [M, 2] of (latitude, longitude)"
        )
    latlng = latlng.astype(np.float64, copy=False)
    good = (np.abs(latlng[:, 0]) <= 90.0) & (
        np.abs(latlng[:, 1]) <= 180.0
    )  # a NaN compares as False
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(
            f"latlng row {row} is ({latlng[row, 0]}, {latlng[row, 1]}), "
            "expected finite degrees, latitude in [-90, 90] and longitude in [-180, 180]"
        )
    return latlng


def leaf_ids(latlng: np.ndarray) -> np.ndarray:
    """S2 ids of the leaf cells (level 30, about 1 cm) that hold the points.

    Args:
        latlng: degrees, latitude first, [M, 2], any real dtype; longitude 180 and -180 are both
            taken.

    Returns:
        uint64 [M].

    Raises:
        ValueError: a row is not finite or out of range; names the row and its value.
    """
    latlng = check_latlng(latlng)
    ids = np.empty(len(latlng), np.uint64)
    for chunk in _chunks(len(latlng)):
        ids[chunk] = ids_from_face_ij(*face_ij(latlng[chunk, 0], latlng[chunk, 1]))
    return ids


def parent_ids(ids: np.ndarray, level: int) -> np.ndarray:
    """The ancestors at `level` of cells that are at `level` or finer.

    Args:
        ids: S2 ids, uint64 [...].
        level: 0 (a face of the cube) to 30 (leaf).

    Returns:
        uint64 [...].

    Raises:
        ValueError: `level` is not in 0..30, or a cell is coarser than `level`.
    """
    if not 0 <= level <= MAX_LEVEL:
        raise ValueError(f"level is {level}, expected 0 to {MAX_LEVEL}")
    ids = np.asarray(ids, np.uint64)
    marker = np.uint64(1 << (2 * (MAX_LEVEL - int(level))))  # a NumPy int32 would overflow
    if ids.size and np.max(_markers(ids)) > marker:
        raise ValueError(
            f"a cell of level {int(np.min(cell_levels(ids)))} has no ancestor at level {level}"
        )
    return (ids & ~(marker - np.uint64(1)) & ~marker) | marker


def cell_levels(ids: np.ndarray) -> np.ndarray:
    """Levels of cells, int32 [...], from S2 ids, uint64 [...].

    Raises:
        ValueError: a value is not an S2 cell id; names it.
    """
    ids = np.asarray(ids, np.uint64)
    markers = _markers(ids)
    bits = np.bitwise_count(
        markers - np.uint64(1)
    )  # zeros below the marker; 64 where there is no marker at all
    valid = (ids >> np.uint64(61) < 6) & (bits % 2 == 0) & (bits <= 2 * MAX_LEVEL)
    if not valid.all():
        wrong = int(ids.ravel()[np.argmin(valid.ravel())])
        raise ValueError(f"{wrong:#018x} is not an S2 cell id")
    return MAX_LEVEL - (bits // 2).astype(np.int32)


def cell_tokens(ids: np.ndarray) -> list[str]:
    """Tokens of cells: the id in hexadecimal without its trailing zeros, as S2 writes them.

    Args:
        ids: S2 ids, uint64 [K].
    """
    return [f"{cell:016x}".rstrip("0") for cell in np.asarray(ids, np.uint64).tolist()]


def ids_from_tokens(tokens: list[str]) -> np.ndarray:
    """S2 ids, uint64 [K], from tokens.

    Raises:
        ValueError: a token is not 1 to 16 hexadecimal digits or names no cell; names the row and
            the token.
    """
    ids = np.zeros(len(tokens), np.uint64)
    for row, token in enumerate(tokens):
        cell = parse_token(token)
        if cell is None:
            raise ValueError(f"row {row}: {token!r} is not an S2 token")
        ids[row] = cell
    return ids


def parse_token(token: str) -> int | None:
    """The S2 id that `token` writes, or None where it is not the token of any cell."""
    if not 1 <= len(token) <= 16 or set(token) - set("0123456789abcdef") or token[-1] == "0":
        return None
    cell = int(token.ljust(16, "0"), 16)
    zeros = (cell & -cell).bit_length() - 1
    return cell if cell >> 61 < 6 and zeros % 2 == 0 and zeros <= 2 * MAX_LEVEL else None


def leaf_ranges(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last leaf id of each cell, both inclusive, uint64 [...], from ids, uint64 [...]."""
    ids = np.asarray(ids, np.uint64)
    reach = _markers(ids) - np.uint64(1)
    return ids - reach, ids + reach


def cell_centers(ids: np.ndarray) -> np.ndarray:
    """Centres of cells in degrees, float64 [M, 2], from S2 ids, uint64 [M].

    Raises:
        ValueError: a value is not an S2 cell id; names it.
    """
    ids = np.asarray(ids, np.uint64)
    cell_levels(ids)  # raises on what is not a cell
    latlng = np.empty((len(ids), 2))
    for chunk in _chunks(len(ids)):
        latlng[chunk] = _centers(ids[chunk])
    return latlng


def cell_outlines(ids: np.ndarray, points_along_an_edge: int = 4) -> np.ndarray:
    """Outlines of cells, anticlockwise and not closed.

    Args:
        ids: S2 ids, uint64 [M].
        points_along_an_edge: the corner that it begins with among them, N / 4; edges are great circles.

    Returns:
        Degrees, float64 [M, N, 2].

    Raises:
        ValueError: a value is not an S2 cell id; names it.
    """
    ids = np.asarray(ids, np.uint64)
    cell_levels(ids)  # raises on what is not a cell
    face, i, j, width = _face_places(ids)
    along = 2 * np.arange(points_along_an_edge) / points_along_an_edge
    right = np.concatenate([along, np.full_like(along, 2), 2 - along, np.zeros_like(along)])
    up = np.roll(right, points_along_an_edge)
    across = 2 * i[:, None] + (width[:, None] * right[None]).astype(np.int64)
    upward = 2 * j[:, None] + (width[:, None] * up[None]).astype(np.int64)
    faces = np.broadcast_to(face[:, None], across.shape)
    outlines = latlng_from_face_places(faces.ravel(), across.ravel(), upward.ravel())
    return outlines.reshape(*across.shape, 2)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))


def _markers(ids: np.ndarray) -> np.ndarray:
    """The lowest set bit of each id, which marks its level."""
    return ids & (~ids + np.uint64(1))


def _centers(ids: np.ndarray) -> np.ndarray:
    """Centres in degrees, float64 [M, 2], of valid cells."""
    face, i, j, width = _face_places(ids)
    return latlng_from_face_places(face, 2 * i + width, 2 * j + width)


def _face_places(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Face, lower i and j, and width in leaves, int64 [M], of valid cells."""
    # The first leaf of a cell gives its i and j down to the cell's own level.
    face, i, j = face_ij_from_ids(leaf_ranges(ids)[0])
    width = np.int64(1) << (MAX_LEVEL - cell_levels(ids).astype(np.int64))
    return face, i & -width, j & -width, width
