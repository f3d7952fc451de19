"""GeoCLIP as it is released: a folder for the hub, or the files inside of its PyPI wheel.

A release folder holds `config.json` (`model_type` "geoclip-geolocation", `format_version` 1, `sigma`,
`gallery_file`, `backbone`), `model.safetensors` and the gallery as CSV. The wheel holds the same tensors as
three `.pth` files. Neither holds the frozen CLIP, which is a model of its own on the hub. Facts: the
`geoclip` package, version 1.3.0.
"""

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.foreign_file import quoted, read_json
from geosurge_jax.interop.geoclip import (
    IMAGE_PREFIX,
    LOCATION_PREFIX,
    LOGIT_SCALE,
    image_head_entries,
    location_encoder_entries,
)
from geosurge_jax.interop.safetensors_file import open_safetensors, write_safetensors
from geosurge_jax.interop.writing import METADATA, to_tensors
from geosurge_jax.models.location_encoder import LocationEncoderConfig
from geosurge_jax.systems.contract import Params

MODEL_TYPE, LOCATION_ENCODER_TYPE, FORMAT_VERSION = (
    "geoclip-geolocation",
    "geoclip-location-encoder",
    1,
)
WEIGHTS_FILE, GALLERY_FILE, BACKBONE_FOLDER = (
    "model.safetensors",
    "coordinates_100K.csv",
    "backbone",
)
BACKBONE = ("openai/clip-vit-large-patch14", "main")
PROJECTION = "equal_earth"
NOTES = "geosurge_jax"

_PARTS = (
    "location_encoder_weights.pth",
    "image_encoder_mlp_weights.pth",
    "logit_scale_weights.pth",
)
_PLAIN_CSV = re.compile(r"\w[\w.-]*\.csv", re.ASCII)


@dataclass(frozen=True)
class GeoClipRelease:
    """Where the parts of a released GeoCLIP are.

    Attributes:
        folder: the release's folder.
        location_encoder: file of the location encoder.
        image_head: file of the image head.
        logit_scale: file of the logit scale.
        gallery: CSV file with the columns LAT and LON.
        backbone: (hub name, revision) of the frozen CLIP.
        notes: what `write_release` noted of a model that was trained here; empty for others.
    """

    folder: Path
    location_encoder: Path
    image_head: Path
    logit_scale: Path
    gallery: Path
    backbone: tuple[str, str]
    notes: Mapping[str, Any]

    @property
    def backbone_folder(self) -> Path | None:
        """The folder `backbone/` of the release, where somebody has put the CLIP there."""
        folder = self.folder / BACKBONE_FOLDER
        return folder if folder.is_dir() else None


def is_release(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is a GeoCLIP release's."""
    return config.get("model_type") == MODEL_TYPE


def has_weight_files(folder: Path) -> bool:
    """Whether a folder, or its subfolder `weights`, holds the three files of the wheel."""
    return _weights_folder(folder) is not None


def find_release(folder: Path) -> GeoClipRelease:
    """Finds the parts of a release.

    Args:
        folder: a release folder, the folder `geoclip/model` of the installed wheel, or a folder with its
            three `.pth` files and the gallery.

    Raises:
        WeightsError: a part is missing, or config.json is not a release's; one line with file and value.
    """
    weights = _weights_folder(folder)
    if weights is not None and not (folder / "config.json").exists():
        gallery = next(
            (one for one in (folder, folder / "gps_gallery") if (one / GALLERY_FILE).is_file()),
            None,
        )
        if gallery is None:
            raise WeightsError(
                f"{folder}: no gallery; expected {GALLERY_FILE} here or in gps_gallery/"
            )
        encoder, head, scale = (weights / name for name in _PARTS)
        return GeoClipRelease(folder, encoder, head, scale, gallery / GALLERY_FILE, BACKBONE, {})
    config = read_json(folder / "config.json")
    _check_type(folder, config, MODEL_TYPE)
    check_names(folder / WEIGHTS_FILE, (LOCATION_PREFIX, IMAGE_PREFIX, LOGIT_SCALE))
    file = folder / WEIGHTS_FILE
    notes = config.get(NOTES, {})
    return GeoClipRelease(
        folder,
        file,
        file,
        file,
        _gallery(folder, config),
        _backbone(folder, config),
        notes if isinstance(notes, Mapping) else {},
    )


def location_encoder_file(folder: Path) -> Path:
    """The file of the location encoder in a release folder of either kind, or in the wheel's folder.

    Raises:
        WeightsError: the folder is neither.
    """
    weights = _weights_folder(folder)
    if weights is not None:
        return weights / _PARTS[0]
    config = read_json(folder / "config.json")
    if not is_release(config):
        _check_type(folder, config, LOCATION_ENCODER_TYPE)
    return folder / WEIGHTS_FILE


def check_names(file: Path, prefixes: tuple[str, ...]) -> None:
    """Raises WeightsError where a file holds a tensor of another part."""
    strangers = [name for name in open_safetensors(file) if not name.startswith(prefixes)]
    if strangers:
        raise WeightsError(
            f"{file}: unexpected tensor {quoted(strangers[0])}; expected names that begin with "
            f"{', '.join(prefixes)}"
        )


def write_release(
    folder: Path,
    params: Params,
    location: LocationEncoderConfig,
    gallery: np.ndarray,
    backbone: tuple[str, str],
    notes: Mapping[str, Any],
) -> None:
    """Writes a release folder that the official code opens.

    Args:
        folder: exists and is empty.
        params: host arrays of the system, of which `head`, `location` and `log_scale` are written.
        location: choices of the location encoder; Equal Earth, since the format knows no other projection.
        gallery: degrees `[Q, 2]`.
        backbone: (hub name, revision) of the frozen CLIP that the head was trained on.
        notes: further entries of config.json, which the official code passes over.

    Raises:
        ValueError: the location encoder uses another projection.
        OSError: a file cannot be written.
    """
    if location.projection != PROJECTION:
        raise ValueError(
            f"config.system.location.projection={location.projection!r}: expected {PROJECTION!r}, the only "
            "one of GeoCLIP's release format"
        )
    head = to_tensors(params["head"], image_head_entries())
    encoder = to_tensors(params["location"], location_encoder_entries(location))
    tensors = {LOGIT_SCALE: np.asarray(params["log_scale"])}
    tensors |= {IMAGE_PREFIX + name: tensor for name, tensor in head.items()}
    tensors |= {LOCATION_PREFIX + name: tensor for name, tensor in encoder.items()}
    write_safetensors(folder / WEIGHTS_FILE, tensors, METADATA)
    config = {
        "model_type": MODEL_TYPE,
        "format_version": FORMAT_VERSION,
        "sigma": list(location.sigmas),
        "gallery_file": GALLERY_FILE,
        "backbone": dict(zip(("repo_id", "revision"), backbone, strict=True)),
        NOTES: dict(notes),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    with (folder / GALLERY_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("LAT", "LON"))
        writer.writerows((repr(float(lat)), repr(float(lng))) for lat, lng in gallery)


def _weights_folder(folder: Path) -> Path | None:
    for place in (folder, folder / "weights"):
        if all((place / name).is_file() for name in _PARTS):
            return place
    return None


def _check_type(folder: Path, config: Mapping[str, Any], expected: str) -> None:
    found = config.get("model_type"), config.get("format_version")
    if found != (expected, FORMAT_VERSION) or isinstance(found[1], bool):
        raise WeightsError(
            f"{folder / 'config.json'}: model_type={quoted(found[0])}, format_version={quoted(found[1])}: "
            f"expected {expected!r} and {FORMAT_VERSION}"
        )


def _gallery(folder: Path, config: Mapping[str, Any]) -> Path:
    name = config.get("gallery_file")
    if not isinstance(name, str) or not _PLAIN_CSV.fullmatch(name):
        raise WeightsError(
            f"{folder / 'config.json'}: gallery_file={quoted(name)}: "
            "expected the name of a CSV file beside it"
        )
    return folder / name


def _backbone(folder: Path, config: Mapping[str, Any]) -> tuple[str, str]:
    backbone = config.get("backbone")
    entries = backbone if isinstance(backbone, Mapping) else {}
    name, revision = entries.get("repo_id"), entries.get("revision")
    if not isinstance(name, str) or not isinstance(revision, str) or name.count("/") != 1:
        raise WeightsError(
            f'{folder / "config.json"}: backbone={quoted(backbone)}: expected repo_id "ORG/NAME" and '
            "revision"
        )
    return name, revision
