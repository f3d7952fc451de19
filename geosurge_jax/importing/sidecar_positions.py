"""Positions that lie beside an image: XMP sidecars, and the JSON files of Google Takeout."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from geosurge_jax.importing.row_values import RejectedRow, checked_latlng
from geosurge_jax.importing.xmp import xmp_latlng

MAX_SIDECAR_BYTES = 4 * 2**20

_TAKEOUT = ".supplemental-metadata"
_TAKEOUT_LENGTH = 46  # Takeout cuts names of JSON files to so many characters before the suffix
_NUMBERED = re.compile(r"(?P<stem>.+)(?P<number>\(\d+\))(?P<suffix>\.[^.]+)")


def sidecar_latlng(image: Path) -> tuple[tuple[float, float], Path] | None:
    """Reads the position of an image from a sidecar, XMP before Takeout's JSON.

    Args:
        image: the image's file.

    Returns:
        Degrees, latitude first, and the sidecar; None where no sidecar has a position.

    Raises:
        RejectedRow: a sidecar has a position that is none.
    """
    for sidecar in sidecars(image):
        with sidecar.open("rb") as file:
            content = file.read(MAX_SIDECAR_BYTES)
        read = xmp_latlng if sidecar.suffix.lower() == ".xmp" else _takeout_latlng
        try:
            latlng = read(content)
        except ValueError as error:
            raise RejectedRow(f"no position: {sidecar.name}: {error}") from None
        if latlng is not None:
            return checked_latlng(*latlng), sidecar
    return None


def sidecars(image: Path) -> Iterator[Path]:
    """Yields the existing sidecars of an image."""
    for name in dict.fromkeys(_names(image.name)):
        path = image.with_name(name)
        if os.path.isfile(path):
            yield path


def _names(image: str) -> Iterator[str]:
    """Names that the sidecars of an image may have."""
    stem = image.rpartition(".")[0]
    for base in (image, stem):
        yield from (f"{base}.xmp", f"{base}.XMP")
    yield f"{image}.json"
    for length in range(_TAKEOUT_LENGTH, len(image) - 1, -1):
        yield f"{(image + _TAKEOUT)[:length]}.json"
    yield f"{image[:_TAKEOUT_LENGTH]}.json"
    numbered = _NUMBERED.fullmatch(image)
    if numbered is not None:
        plain = numbered["stem"] + numbered["suffix"]
        yield f"{plain}{numbered['number']}.json"
        yield f"{plain}{_TAKEOUT}{numbered['number']}.json"
    yield f"{stem}.json"


def _takeout_latlng(content: bytes) -> tuple[float, float] | None:
    """The position in a JSON file of Takeout, which writes (0, 0) where there is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    for key in ("geoData", "geoDataExif"):
        place = found.get(key)
        if isinstance(place, dict):
            try:
                latitude, longitude = float(place["latitude"]), float(place["longitude"])
            except (KeyError, TypeError, ValueError):
                continue
            if latitude or longitude:
                return latitude, longitude
    return None
