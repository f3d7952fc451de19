"""A released GeoCLIP as a `TrainedModel`: its parts beside the frozen CLIP that they were trained on."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from geosurge_jax.experiment.trained_model import (
    Provenance,
    TrainedModel,
    on_mesh,
    read_provenance,
)
from geosurge_jax.geo import read_places_csv
from geosurge_jax.interop.families import clip
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.geoclip import (
    read_image_head,
    read_location_encoder,
    read_logit_scale,
)
from geosurge_jax.interop.geoclip_release import PROJECTION, GeoClipRelease
from geosurge_jax.interop.loading import load_part
from geosurge_jax.interop.model_directory import StoredModel, open_model
from geosurge_jax.interop.part import part_of, read_config
from geosurge_jax.models.vit_config import ViTConfig
from geosurge_jax.systems import geoclip
from geosurge_jax.systems.contract import Params
from geosurge_jax.training.state import plan_parameters

LICENSE = "MIT"
TRAINING_DATA = "MP-16 (4.7 million images of Flickr)"

# Places encoded at a time; bounds the memory of the hidden layers.
GALLERY_BLOCK = 4096


def open_geoclip(
    release: GeoClipRelease, backbone: Path, *, dtype: str, mesh: Mesh, source: str
) -> TrainedModel:
    """Opens a released GeoCLIP for inference.

    Every row of the release's gallery keeps its own probability, duplicates included, as in the official
    code.

    Args:
        release: where its parts are.
        backbone: directory of the frozen CLIP in Hugging Face's layout.
        dtype: compute type of the encoders, "float32" or "bfloat16".
        mesh: devices that hold the parameters.
        source: name or folder that the caller opened.

    Raises:
        WeightsError: a file is missing, damaged or of another model; one line.
        ValueError: the gallery is not a list of places; one line.
    """
    stored = open_model(backbone)
    location_config, location = read_location_encoder(release.location_encoder, PROJECTION)
    head_config, head = read_image_head(release.image_head)
    log_scale = read_logit_scale(release.logit_scale)
    visual = _image_encoder(stored, head["up"]["kernel"].shape[0])
    config = geoclip.GeoClipConfig(
        visual=visual,
        head=head_config,
        location=location_config,
        # The rest concerns training alone.
        initial_temperature=1.0,
        queue=0,
        batch_noise_metres=0.0,
        queue_noise_metres=0.0,
        gallery=geoclip.TRAINING_PLACES,
        gallery_places=1,
        gallery_block=GALLERY_BLOCK,
        compute_dtype=dtype,
    )
    location_data = {"gallery": read_places_csv(release.gallery)}
    system = geoclip.build(config, None, location_data)
    shapes = plan_parameters(system, mesh).abstract
    read: Params = {"head": head, "location": location, "log_scale": np.float32(log_scale)}
    placed = jax.tree.map(
        lambda leaf, shape: jax.device_put(leaf, shape.sharding),
        read,
        {name: shapes[name] for name in read},
    )
    encoder = load_part(part_of(stored, clip.FAMILY, visual, shapes["visual"]))
    params = {"visual": encoder, **placed}

    return TrainedModel(
        system=system,
        config=config,
        hierarchy=None,
        location_data=location_data,
        mesh=mesh,
        params=params,
        precompute=on_mesh(system, mesh),
        decision="top",
        decision_points=1,
        provenance=_provenance(release, backbone, source),
    )


def _provenance(release: GeoClipRelease, backbone: Path, source: str) -> Provenance:
    """That of the authors' release, or the one noted in a release that was exported from a run."""
    own = Provenance("geoclip", source, TRAINING_DATA, license=LICENSE)
    noted = read_provenance(release.notes, source) if release.notes else own
    return dataclasses.replace(noted, backbone=release.backbone, text_encoder=str(backbone))


def _image_encoder(stored: StoredModel, head_inputs: int) -> ViTConfig:
    """Choices of the frozen CLIP, with the projection that the head was trained behind."""
    found = stored.config.get("model_type")
    if found not in clip.FAMILY.model_types:
        raise WeightsError(
            f"{stored.directory / 'config.json'}: model_type={found!r}: expected one of "
            f"{[*clip.FAMILY.model_types]}, the backbone of GeoCLIP"
        )
    config: ViTConfig = read_config(stored, clip.FAMILY)
    projection = stored.tensors.get("visual_projection.weight")
    width = 0 if projection is None or projection.ndim != 2 else projection.shape[0]
    if width != head_inputs:
        raise WeightsError(
            f"{stored.directory}: its projection gives vectors of width {width}, expected {head_inputs}, "
            "which GeoCLIP's image head was trained on"
        )
    return dataclasses.replace(config, projection=width, trained_blocks=0)
