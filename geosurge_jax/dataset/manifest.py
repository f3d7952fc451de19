"""The manifest of a dataset directory: what was written, so that a reader can tell what is missing.

`manifest.json` lies beside the shards. It holds nothing that changes between two builds of the same
records with the same library versions (no dates, no paths).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MANIFEST_FILE = "manifest.json"
FORMAT_VERSION = 2


class DatasetError(ValueError):
    """A dataset directory that is not what its manifest says, in one line."""


@dataclass(frozen=True)
class Shard:
    """One ArrayRecord file.

    Attributes:
        file: Name inside the dataset directory.
        records: Number of records.
        size: Bytes.
        sha256: Hexadecimal digest of the file.
    """

    file: str
    records: int
    size: int
    sha256: str


@dataclass(frozen=True)
class FeatureColumns:
    """What records hold in place of photos: what a frozen image tower made of them.

    Class maps are cut then as the photos were, so that tokens and classes stay aligned.

    Attributes:
        dtype: float32 or bfloat16, the tower's own.
        pooled: D, length of the vector of a photo.
        tokens: (P, D) of the grid of tokens, rows first; None where records hold the vector alone.
        image_size: Side of the square that the tower saw, and of the class maps, in pixels.
        tower: JSON value: its architecture and what it expected of photos.
        weights: Fingerprint of its parameters.
    """

    dtype: str
    pooled: int
    tokens: tuple[int, int] | None
    image_size: int
    tower: Any
    weights: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each column."""
        tokens = {} if self.tokens is None else {"tokens": self.tokens}
        return {"pooled": (self.pooled,), **tokens}


@dataclass(frozen=True)
class Manifest:
    """What a finished dataset directory holds.

    Attributes:
        name: TFDS name of the dataset.
        version: Its version, `major.minor.patch`.
        splits: Shards of each split, in record order.
        latlng_sha256: Digest of `<split>-latlng.npy` of each split.
        segmentation_classes: Class names in the order of the ids in the segmentation maps.
        scenes: Names of the coarse scenes, in the order of the first scene index.
        scene_groups: Names of the middle ones, in the order of the second.
        scene_categories: Number of the fine ones, which have no names here.
        source: JSON value: everything the records depend on; equal sources give equal records.
        description: A sentence or two for people.
        licence: The terms the whole comes under.
        libraries: Versions of the libraries that wrote it.
        features: What records hold in place of photos; None = photos.
        summary: JSON value for people: counts, rejections by kind, where photos were taken; empty = nothing
            is said.
    """

    name: str
    version: str
    splits: dict[str, tuple[Shard, ...]]
    latlng_sha256: dict[str, str]
    segmentation_classes: tuple[str, ...]
    scenes: tuple[str, ...]
    scene_groups: tuple[str, ...]
    scene_categories: int
    source: Any
    description: str
    licence: str
    libraries: dict[str, str]
    features: FeatureColumns | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)

    def count(self, split: str) -> int:
        """Number of records of a split."""
        return sum(shard.records for shard in self.splits[split])


def latlng_file(split: str) -> str:
    """Name of the file with the coordinates of a split, float64 [M, 2] in record order."""
    return f"{split}-latlng.npy"


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into `directory`; the same manifest gives the same bytes."""
    content = {"format": FORMAT_VERSION, **asdict(manifest)}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (directory / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> Manifest:
    """Read `manifest.json`.

    Raises:
        DatasetError: The directory or the file is missing, not JSON, or of another format.
    """
    path = directory / MANIFEST_FILE
    if not path.is_file():
        raise DatasetError(
            f"{directory}: no {MANIFEST_FILE}{_nearby(directory)}; expected a finished dataset "
            "directory <directory>/<name>/<version> (config.data.source)"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.pop("format")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise DatasetError(
            f"{path}: not a manifest ({type(error).__name__}: {error}); expected the file that "
            "came with the dataset (config.data.source)"
        ) from None
    if found != FORMAT_VERSION:
        raise DatasetError(
            f"{path}: format {found!r}, expected {FORMAT_VERSION}; make the dataset again with "
            "this version (config.data.source)"
        )
    try:
        content["splits"] = {
            split: tuple(Shard(**shard) for shard in shards)
            for split, shards in content["splits"].items()
        }
        for name in ("segmentation_classes", "scenes", "scene_groups"):
            content[name] = tuple(content[name])
        if features := content.get("features"):
            tokens = features["tokens"]
            features["tokens"] = None if tokens is None else tuple(tokens)
            content["features"] = FeatureColumns(**features)
        return Manifest(**content)
    except (TypeError, KeyError, AttributeError) as error:
        raise DatasetError(
            f"{path}: fields are not those of format {FORMAT_VERSION} ({error}) (config.data.source)"
        ) from None


def _nearby(directory: Path) -> str:
    """A hint for somebody who named the folder above the dataset."""
    if not directory.is_dir():
        return " (no such directory)"
    found = sorted(path.parent for path in directory.glob(f"*/{MANIFEST_FILE}"))
    found += sorted(path.parent for path in directory.glob(f"*/*/{MANIFEST_FILE}"))
    return f" (did you mean {found[0]}?)" if found else ""
