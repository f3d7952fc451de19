"""GeoCLIP (Vivanco Cepeda et al., NeurIPS 2023): photos and places in one space.

A frozen CLIP and a small head make a vector of a photo, a location encoder makes vectors of places; the
photo's is contrasted with the places of its batch and of a queue of earlier ones. At test time a gallery of
places is the support of the posterior. As the image tower is CLIP's, a sentence can stand in for a photo.
Where the publication is silent the choice is a field of `GeoClipConfig`.
"""

import math
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from geosurge_jax.geo import Hierarchy, read_places_csv
from geosurge_jax.models.gallery import gallery_log_prob, gallery_vectors
from geosurge_jax.models.geocell_table import MASKED_SCORE, unit_norm
from geosurge_jax.models.location_encoder import (
    HIDDEN_LAYERS,
    LocationEncoder,
    LocationEncoderConfig,
    PlanePoints,
    project_on_host,
)
from geosurge_jax.models.place_queue import empty_queue, jitter, push
from geosurge_jax.models.projection_head import ProjectionHead, ProjectionHeadConfig
from geosurge_jax.models.sharding import (
    PartitionRules,
    constrain,
    constrain_batch,
    replicated,
    under,
)
from geosurge_jax.models.towers import AnyTower, make_tower
from geosurge_jax.models.vit_config import ViTConfig
from geosurge_jax.systems.choices import COMPUTE_DTYPES, check_choices
from geosurge_jax.systems.contract import (
    Batch,
    FlopsPerPhoto,
    Index,
    Memory,
    Metrics,
    Params,
    Prepared,
    Survey,
    System,
)
from geosurge_jax.systems.posterior import Posterior

TRAINING_PLACES = "train"


@dataclass(frozen=True)
class GeoClipConfig:
    """Choices of the system.

    Attributes:
        visual: the image tower (published: CLIP's ViT-L/14 with its projection, frozen).
        head: from its vector to the common space (published: 768 to 768 to 512).
        location: the location encoder; its width is the head's.
        initial_temperature: start of the learned temperature (published: 0.07).
        queue: places kept of earlier batches as negatives (published: 4096); 0 for none.
        batch_noise_metres: standard deviation of the noise on the batch's places (re-trainings: 150).
        queue_noise_metres: the same for the queue's (re-trainings: 1000).
        gallery: "train", places of training photos (published for the benchmarks: 100,000 of MP-16), or a
            CSV file with columns LAT and LON.
        gallery_places: most places taken of the training photos.
        gallery_block: places encoded at a time; `fsdp * model` of the mesh has to divide it (ours).
        compute_dtype: "float32" or "bfloat16"; parameters are float32.
    """

    visual: AnyTower
    head: ProjectionHeadConfig
    location: LocationEncoderConfig
    initial_temperature: float
    queue: int
    batch_noise_metres: float
    queue_noise_metres: float
    gallery: str
    gallery_places: int
    gallery_block: int
    compute_dtype: str

    def __post_init__(self) -> None:
        """Raises ValueError where values do not go together, naming the config key."""
        check_choices(("compute_dtype", self.compute_dtype, COMPUTE_DTYPES))
        if self.location.width != self.head.width:
            raise ValueError(
                f"config.system.location.width={self.location.width}: expected {self.head.width}, as "
                "config.system.head.width, since photos and places meet there"
            )
        for name in ("queue", "batch_noise_metres", "queue_noise_metres"):
            if vars(self)[name] < 0:
                raise ValueError(f"config.system.{name}={vars(self)[name]}: expected 0 or more")
        for name in ("gallery_places", "gallery_block"):
            if vars(self)[name] < 1:
                raise ValueError(f"config.system.{name}={vars(self)[name]}: expected 1 or more")


class PhotoEncoder(nn.Module):
    """Photos, or a text tower's vectors, to unit vectors of the common space."""

    config: GeoClipConfig

    def setup(self) -> None:
        """Makes the tower and the head."""
        dtype = jnp.dtype(self.config.compute_dtype)
        self.visual = make_tower(self.config.visual, dtype)
        self.head = ProjectionHead(self.config.head, dtype)

    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        """Encodes `image uint8 [B, H, W, 3]` into float32 `[B, E]`."""
        return self.project(self.visual(image, train=train).pooled)

    def project(self, vectors: jax.Array) -> jax.Array:
        """Brings `vectors [B, D]` of the tower's own space with texts into float32 `[B, E]`."""
        return unit_norm(self.head(constrain_batch(vectors)))


def survey(config: GeoClipConfig, latlng: np.ndarray, hierarchy: Hierarchy) -> Survey:
    """The gallery: distinct places, of a file or of the training photos `latlng [M, 2]`.

    Raises:
        ValueError: the file is no list of places; names it.
    """
    del hierarchy
    if config.gallery != TRAINING_PLACES:
        try:
            return {"gallery": np.unique(read_places_csv(config.gallery), axis=0)}
        except ValueError as error:
            raise ValueError(f"config.system.gallery: {error}") from None
    places = np.unique(latlng, axis=0)
    if len(places) > config.gallery_places:
        chosen = np.random.default_rng(0).choice(len(places), config.gallery_places, replace=False)
        places = places[np.sort(chosen)]
    return {"gallery": places}


def analytic_flops(config: GeoClipConfig, gallery: int) -> FlopsPerPhoto:
    """Cost of a photo: tower, head, gallery; in training its own place, the queue's not counted.

    The places of the queue are encoded once a batch, whatever its size.
    """
    frozen, trained = config.visual.flops
    head, location = config.head, config.location
    before = config.visual.width
    if isinstance(config.visual, ViTConfig) and config.visual.projection:
        before = config.visual.projection
    trained += 2 * head.hidden * (before + head.width)
    hidden = (HIDDEN_LAYERS - 1) * location.hidden + 2 * location.frequencies + location.width
    place = 2 * len(location.sigmas) * location.hidden * hidden
    forward = frozen + trained + 2 * head.width * gallery
    return FlopsPerPhoto(forward=forward, training=frozen + 3 * (trained + place))


def partition_rules(config: GeoClipConfig) -> PartitionRules:
    """How the parameters lie on the mesh, part by part."""
    return (
        *under("visual", config.visual.partition_rules),
        *under("head", config.head.partition_rules),
        *under("location", config.location.partition_rules),
        replicated("^log_scale$"),
    )


def contrast(scores: jax.Array) -> tuple[jax.Array, Metrics]:
    """Cross-entropy of each photo's own place among the candidates (published: from photos to places alone).

    Args:
        scores: float32 `[B, B + queue]`; the own place of photo b is candidate b.

    Returns:
        Loss `[B]`, and how often no candidate is scored above the own place.
    """
    scores = constrain_batch(scores)
    right = jnp.diagonal(scores)
    hit = (right >= jnp.max(scores, axis=-1)).astype(jnp.float32)
    loss = constrain_batch(jax.nn.logsumexp(scores, axis=-1) - right)
    return loss, {"accuracy/candidates": (hit, jnp.ones_like(hit))}


def build(config: GeoClipConfig, hierarchy: Hierarchy | None, survey: Survey) -> System:
    """Builds the system over a gallery.

    Args:
        config: the choices above.
        hierarchy: not used; places are continuous here.
        survey: from the function of that name.

    Returns:
        The pure functions of the contract. There are no targets: the loss takes the photos' places.
    """
    del hierarchy
    dtype, gallery = jnp.dtype(config.compute_dtype), survey["gallery"]
    photos, places = PhotoEncoder(config), LocationEncoder(config.location, dtype)

    def init(key: jax.Array, batch: Batch) -> Params:
        of_photos, of_places = jax.random.split(key)
        return {
            **photos.init(of_photos, batch["image"], train=False)["params"],
            "location": places.init(of_places, jnp.zeros((1, 2)))["params"],
            "log_scale": jnp.asarray(-math.log(config.initial_temperature), jnp.float32),
        }

    def photo_vectors(params: Params, batch: Batch, key: jax.Array | None) -> jax.Array:
        own = {"visual": params["visual"], "head": params["head"]}
        rngs = None if key is None else {"dropout": key}
        train = key is not None
        return photos.apply({"params": own}, batch["image"], train=train, rngs=rngs)  # pyright: ignore[reportReturnType]

    def place_vectors(params: Params, where: jax.Array | PlanePoints) -> jax.Array:
        return unit_norm(places.apply({"params": params["location"]}, where))  # pyright: ignore[reportArgumentType]

    def loss(
        params: Params, memory: Memory, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, Metrics]:
        own, valid = batch["latlng"], batch["mask"]
        queued, counted = (memory["latlng"], memory["valid"]) if memory else (own[:0], valid[:0])
        if key is not None:
            key, of_batch, of_queue = jax.random.split(key, 3)
            own = jitter(of_batch, own, config.batch_noise_metres)
            queued = jitter(of_queue, queued, config.queue_noise_metres)
        candidates = jnp.concatenate([own, queued])
        counts = jnp.concatenate([valid, counted]) > 0
        vectors = constrain(place_vectors(params, constrain_batch(candidates)), None)
        scores = jnp.exp(params["log_scale"]) * photo_vectors(params, batch, key) @ vectors.T
        return contrast(jnp.where(counts[None], scores, MASKED_SCORE))

    def prepare(params: Params, index: Index) -> Prepared:
        del index

        def encode(points: jax.Array) -> jax.Array:
            return place_vectors(params, PlanePoints(points[:, :2], points[:, 2:])).astype(dtype)

        projected = project_on_host(gallery, config.location.projection)
        return {"gallery": gallery_vectors(encode, projected, config.gallery_block)}

    def answer(params: Params, prepared: Prepared, vectors: jax.Array) -> Posterior:
        scale = jnp.exp(params["log_scale"])
        log_prob = gallery_log_prob(vectors, prepared["gallery"], scale, len(gallery))
        return Posterior(jnp.asarray(gallery, jnp.float32), log_prob)

    def query(params: Params, prepared: Prepared, vectors: jax.Array) -> Posterior:
        own = {"visual": params["visual"], "head": params["head"]}
        projected = photos.apply({"params": own}, vectors, method=PhotoEncoder.project)
        return answer(params, prepared, projected)  # pyright: ignore[reportArgumentType]

    return System(
        name="geoclip",
        init=init,
        loss=loss,
        posterior=lambda params, prepared, batch: answer(
            params, prepared, photo_vectors(params, batch, None)
        ),
        targets=lambda latlng: {},
        partition_rules=partition_rules(config),
        frozen_rules=(
            *(f"^visual/{rule}" for rule in config.visual.frozen_rules),
            *(f"^location/{rule}" for rule in config.location.frozen_rules),
        ),
        towers={"visual": config.visual},
        flops=analytic_flops(config, len(gallery)),
        description=(
            ("gallery", f"{len(gallery)} places"),
            ("queue", f"{config.queue} places"),
            ("projection", config.location.projection),
        ),
        memory=lambda: empty_queue(config.queue),
        remember=lambda memory, batch: push(memory, batch["latlng"], batch["mask"]),
        prepare=prepare,
        query=query,
        location_encoder=config.location,
        embed=lambda params, batch: photo_vectors(params, batch, None),
    )
