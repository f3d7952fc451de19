"""One photo as it is stored: encoded bytes and where it was taken."""

from dataclasses import dataclass

SCENES: tuple[str, ...] = ("indoor", "natural", "urban")
"""Scene labels in the order of their index (the three coarse scenes of Places365)."""

UNKNOWN_SCENE = -1
"""Scene index of a record without a scene label."""

UNKNOWN_CLASS = 255
"""Value of a segmentation map where the class is not known."""


@dataclass(frozen=True)
class Record:
    """One geotagged photo, encoded.

    Attributes:
        id: Unique within its split, any non-empty text.
        image: An encoded JPEG, PNG or WebP file, upright, without EXIF.
        latlng: Degrees, latitude first, exact float64, longitude in [-180, 180).
        segmentation: A PNG with one 8-bit channel, the ADE20K class (0 to 149) of each pixel,
            255 = unknown; of any size, with the same field of view as `image`. None = no map.
        scene: Index in `SCENES`, -1 = unknown.
        author: Who took it; records of one author never straddle two splits. Empty = unknown.
        licence: The terms the photo comes under. Empty = unknown.
    """

    id: str
    image: bytes
    latlng: tuple[float, float]
    segmentation: bytes | None = None
    scene: int = UNKNOWN_SCENE
    author: str = ""
    licence: str = ""
