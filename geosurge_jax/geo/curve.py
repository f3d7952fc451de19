"""The cube and the curve under S2: from a point to a place on the Hilbert curve, and back.

A point goes to a face of the cube and, by a quadratic projection, to leaf coordinates (i, j) on it;
the Hilbert curve of the face turns those into one number. Definitions:
https://s2geometry.io/devguide/s2cell_hierarchy and the comments of S2's s2coords.h.
"""

import numpy as np

MAX_LEVEL = 30

# One step along the Hilbert curve, from the definition of S2. A quadrant of the curve in
# orientation o at position p lies at _QUADRANT[o, p] = 2 * i + j, and the curve inside it has the
# orientation o ^ _TURN[p].
_QUADRANT = np.array([[0, 1, 3, 2], [0, 2, 3, 1], [3, 2, 0, 1], [3, 1, 0, 2]])
_TURN = np.array([1, 0, 0, 3])

# The curve is walked six levels at a time: 30 levels are five look-ups in a table of 16 384 uint16,
# which stays in the L1 cache.
_STEP = 6
_STEP_MASK = (1 << _STEP) - 1
_CELLS_ALONG_FACE = 1 << MAX_LEVEL


def _curve_tables() -> tuple[np.ndarray, np.ndarray]:
    """Six levels of the curve: (i, j, orientation) -> (position, orientation), and its inverse.

    Both are uint16 [2^14]; a key and a value hold twelve bits of (i, j) or position, then two bits
    of orientation.
    """
    start = orientation = np.arange(4)
    i = j = position = np.zeros_like(start)
    for _ in range(_STEP):
        quadrant = _QUADRANT[orientation]
        start = np.repeat(start, 4)
        i = ((i[:, None] << 1) | (quadrant >> 1)).ravel()
        j = ((j[:, None] << 1) | (quadrant & 1)).ravel()
        position = ((position[:, None] << 2) | np.arange(4)).ravel()
        orientation = (orientation[:, None] ^ _TURN).ravel()
    by_ij = np.empty(1 << (2 * _STEP + 2), np.uint16)
    by_position = np.empty_like(by_ij)
    by_ij[(((i << _STEP) | j) << 2) | start] = (position << 2) | orientation
    by_position[(position << 2) | start] = (((i << _STEP) | j) << 2) | orientation
    return by_ij, by_position


_POSITION_BY_IJ, _IJ_BY_POSITION = _curve_tables()


def face_ij(
    latitude: np.ndarray, longitude: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Face 0..5 and leaf coordinates i, j along the face, int64 [M] each, from degrees."""
    phi, theta = np.radians(latitude), np.radians(longitude)
    cos_phi = np.cos(phi)
    x, y, z = np.cos(theta) * cos_phi, np.sin(theta) * cos_phi, np.sin(phi)
    abs_x, abs_y, abs_z = np.abs(x), np.abs(y), np.abs(z)
    # S2 breaks a tie towards the later axis.
    on_x = (abs_x > abs_y) & (abs_x > abs_z)
    on_y = (abs_y >= abs_x) & (abs_y > abs_z)
    on_z = ~(on_x | on_y)
    major = np.where(on_x, x, np.where(on_y, y, z))
    negative = major < 0
    face = on_y + 2 * on_z + 3 * negative
    first = np.where(on_x, y, -x) / major
    second = np.where(on_z, -y, z) / major
    return (
        face,
        _leaf_coordinate(np.where(negative, second, first)),
        _leaf_coordinate(np.where(negative, first, second)),
    )


def _leaf_coordinate(u: np.ndarray) -> np.ndarray:
    """The quadratic projection of S2: u in [-1, 1] on a face to the leaf's place 0 .. 2^30 - 1."""
    half = 0.5 * np.sqrt(1.0 + 3.0 * np.abs(u))
    s = np.where(u >= 0, half, 1.0 - half)
    return np.minimum((s * _CELLS_ALONG_FACE).astype(np.int64), _CELLS_ALONG_FACE - 1)


def ids_from_face_ij(face: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Leaf ids, uint64 [M], from face and leaf coordinates, int64 [M]."""
    orientation = face & 1
    curve = face
    for shift in range(MAX_LEVEL - _STEP, -1, -_STEP):
        key = ((i >> shift) & _STEP_MASK) << _STEP | ((j >> shift) & _STEP_MASK)
        step = _POSITION_BY_IJ[key << 2 | orientation]
        curve = curve << (2 * _STEP) | (step >> 2)
        orientation = step & 3
    return curve.astype(np.uint64) << np.uint64(1) | np.uint64(1)


def face_ij_from_ids(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Undoes `ids_from_face_ij`: face and coordinates, int64 [M], from leaf ids, uint64 [M]."""
    face = (ids >> np.uint64(61)).astype(np.int64)
    position = (ids >> np.uint64(1)).astype(np.int64)
    orientation = face & 1
    i = j = np.zeros(len(ids), np.int64)
    for shift in range(MAX_LEVEL - _STEP, -1, -_STEP):
        key = (position >> (2 * shift)) & ((1 << 2 * _STEP) - 1)
        step = _IJ_BY_POSITION[key << 2 | orientation].astype(np.int64)
        i = i << _STEP | (step >> (2 + _STEP))
        j = j << _STEP | ((step >> 2) & _STEP_MASK)
        orientation = step & 3
    return face, i, j


def latlng_from_face_places(face: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Degrees, float64 [M, 2], of places on faces given in HALF leaves, 0 .. 2^31, int64 [M]."""
    u, v = _projected(i), _projected(j)
    one = np.ones_like(u)
    x = np.choose(face, [one, -u, -u, -one, v, v])
    y = np.choose(face, [u, one, -v, -v, -one, u])
    z = np.choose(face, [v, v, one, -u, -u, -one])
    # On the antimeridian y is -0.0, which makes the longitude -180 as it should be.
    return np.degrees(np.stack([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)], axis=-1))


def _projected(half_leaves: np.ndarray) -> np.ndarray:
    """Undoes `_leaf_coordinate`: from a place in half leaves, 0 .. 2^31, to u in [-1, 1]."""
    s = half_leaves / (2 * _CELLS_ALONG_FACE)
    return np.where(s >= 0.5, 4.0 * s * s - 1.0, 1.0 - 4.0 * (1.0 - s) ** 2) / 3.0
