"""Published models that open by a short name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedModel:
    """A model that its authors publish.

    Attributes:
        name: short name for `Predictor.from_pretrained` and `--model`.
        source: "hf:ORG/NAME" on the hub.
        license: SPDX identifier of the weights.
        size_bytes: of all that is downloaded, the backbone included; rounded.
        description: what it is, in one line.
    """

    name: str
    source: str
    license: str
    size_bytes: int
    description: str


# Sizes are those of the published files: the release has 42 MB, and CLIP ViT-L/14 1.7 GB in float32.
MODELS = (
    PublishedModel(
        name="geoclip",
        source="hf:VicenteVivanco/geoclip-geolocation",
        license="MIT",
        size_bytes=1_750_000_000,
        description="GeoCLIP (Vivanco Cepeda et al., NeurIPS 2023): CLIP ViT-L/14, 100,000 places of MP-16",
    ),
    PublishedModel(
        name="geoclip-location-encoder",
        source="hf:VicenteVivanco/geoclip-location-encoder",
        license="MIT",
        size_bytes=38_000_000,
        description="GeoCLIP's location encoder alone: coordinates to vectors, for LocationEncoder",
    ),
)


def find_published(name: str) -> PublishedModel | None:
    """Returns the published model of a name; None where there is none."""
    return next((model for model in MODELS if model.name == name), None)
