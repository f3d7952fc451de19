"""One photo as it is stored: encoded bytes and where it was taken."""

from collections.abc import Sequence
from dataclasses import dataclass

SCENES: tuple[str, ...] = ("indoor", "natural", "urban")
"""The three coarse scenes of Places365 (Zhou et al. 2018), in the order of their index."""

SCENE_GROUPS: tuple[str, ...] = (
    "shopping and dining",
    "workplace",
    "home or hotel",
    "transportation, indoor",
    "sports and leisure, indoor",
    "cultural, indoor",
    "water, ice, snow",
    "mountains, hills, desert, sky",
    "forest, field, jungle",
    "man-made elements",
    "transportation, outdoor",
    "cultural or historical building",
    "sports fields, parks, leisure spaces",
    "industrial and construction",
    "houses, cabins, gardens, farms",
    "commercial buildings, shops, markets, cities, towns",
)
"""The second level of Places365's hierarchy; each group belongs to one coarse scene, in their order."""

SCENE_CATEGORIES = 365
"""Number of the finest scenes, numbered as Places365 lists them."""

SCENE_COUNTS = (len(SCENES), len(SCENE_GROUPS), SCENE_CATEGORIES)
"""Scenes of the three granularities, in the order of `Record.scene`."""

UNKNOWN_SCENE = -1
"""Scene index where there is no label."""

NO_SCENES = (UNKNOWN_SCENE, UNKNOWN_SCENE, UNKNOWN_SCENE)
"""What a record without any scene label has."""

UNKNOWN_CLASS = 255
"""Value of a segmentation map where the class is not known."""

NO_MAP = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c63f80f0001010100b138f6140000000049454e44ae426082"
)
"""A PNG of one pixel of value 255: what a record without a map stores, unknown everywhere."""


@dataclass(frozen=True)
class Record:
    """One geotagged photo, encoded.

    Attributes:
        id: Unique within its split, any non-empty text.
        image: An encoded JPEG, PNG or WebP file, upright, without EXIF.
        latlng: Degrees, latitude first, exact float64, longitude in [-180, 180).
        segmentation: A PNG with one 8-bit channel, the ADE20K class (0 to 149) of each pixel,
            255 = unknown; of any size, with the same field of view as `image`. None = no map.
        scene: Index in each of Places365's granularities (`SCENES`, `SCENE_GROUPS`, the 365 categories),
            -1 = unknown. A classifier labels each for itself, so they need not agree.
        author: Who took it; records of one author never straddle two splits. Empty = unknown.
        licence: The terms the photo comes under. Empty = unknown.
    """

    id: str
    image: bytes
    latlng: tuple[float, float]
    segmentation: bytes | None = None
    scene: tuple[int, int, int] = NO_SCENES
    author: str = ""
    licence: str = ""


def scene_problem(scene: Sequence[int]) -> str:
    """What is wrong with the scene indexes of a record in one phrase, empty = nothing."""
    if len(scene) != len(SCENE_COUNTS):
        return f"scene {tuple(scene)}, expected {len(SCENE_COUNTS)} indexes"
    for index, count in zip(scene, SCENE_COUNTS, strict=True):
        if not UNKNOWN_SCENE <= index < count:
            return f"scene {index} of {count}, expected -1 to {count - 1}"
    return ""
