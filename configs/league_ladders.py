"""The ladders of the league: what differs from step to step, and what was published of the steps.

Figures are percentages within a radius as published, on other photos and at another size; only their order
is compared. GeoSURGE's come from secondary sources (configs/geosurge.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

from configs import geosurge


def changed(
    make: Callable[[], dict[str, Any]], **sections: Mapping[str, Any]
) -> Callable[[], dict[str, Any]]:
    """A maker of the same config with fields of some of its sections changed."""

    def make_changed() -> dict[str, Any]:
        config = make()
        for name, fields in sections.items():
            config[name].update(fields)
        return config

    return make_changed


def geosurge_fusion(**fields: Any) -> Callable[[], dict[str, Any]]:
    """GeoSURGE with fields of its fusion changed."""

    def make() -> dict[str, Any]:
        config = geosurge.demo()
        config["system"]["fusion"].update(fields)
        return config

    return make


def levels(*max_images: int) -> Callable[[], dict[str, Any]]:
    """GeoSURGE on fewer levels, the finest always among them."""
    return changed(geosurge.demo, geocells=dict(max_images=max_images))


VARIANTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "geosurge_1_level": levels(20),
    "geosurge_5_levels": levels(1200, 300, 80, 40, 20),  # which five was not published
    "geosurge_no_fusion": geosurge_fusion(kind="none"),
    "geosurge_1_block": geosurge_fusion(blocks=1),
    "geosurge_low_rank": geosurge_fusion(kind="low_rank"),
    "geosurge_direct": geosurge_fusion(kind="direct"),
    "geosurge_class_targets": changed(geosurge.demo, system=dict(targets="class")),
    "geosurge_batch_negatives": changed(geosurge.demo, system=dict(negatives="batch")),
}


def direction(
    better: str, worse: str, source: str, *radii_km: float
) -> dict[str, str | tuple[float, ...]]:
    """A published comparison of two steps."""
    return dict(better=better, worse=worse, source=source, radii_km=radii_km)


PUBLISHED: dict[str, dict[str, Any]] = {
    "geosurge_levels": dict(
        steps=("geosurge_1_level", "geosurge_5_levels", "geosurge"),
        directions=(
            direction("geosurge", "geosurge_5_levels", "GeoSURGE, YFCC26k: 17.8 > 11.1", 1.0),
            direction("geosurge", "geosurge_5_levels", "GeoSURGE, YFCC26k: 31.5 > 30.0", 25.0),
            direction(
                "geosurge_5_levels", "geosurge_1_level", "GeoSURGE, YFCC26k: 11.1 > 8.9", 1.0
            ),
            direction(
                "geosurge_5_levels", "geosurge_1_level", "GeoSURGE, YFCC26k: 30.0 > 27.5", 25.0
            ),
        ),
    ),
    "geosurge_blocks": dict(
        steps=("geosurge_no_fusion", "geosurge_1_block", "geosurge"),
        directions=(
            direction("geosurge", "geosurge_no_fusion", "GeoSURGE, YFCC26k: 17.8 > 13.8", 1.0),
            direction("geosurge", "geosurge_no_fusion", "GeoSURGE, YFCC26k: 31.5 > 30.4", 25.0),
        ),
    ),
    # Whether "latent" means learned latents or a low-rank projection was not published, nor a comparison.
    "geosurge_fusion": dict(
        steps=("geosurge_no_fusion", "geosurge_direct", "geosurge_low_rank", "geosurge"),
        directions=(),
    ),
    "geosurge_targets": dict(
        steps=("geosurge_class_targets", "geosurge"),
        directions=(
            direction(
                "geosurge",
                "geosurge_class_targets",
                "GeoSURGE: embeddings beat classes; figures and radius not known to us",
                1.0,
                25.0,
            ),
        ),
    ),
    "geosurge_negatives": dict(steps=("geosurge_batch_negatives", "geosurge"), directions=()),
}
