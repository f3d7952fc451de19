"""The ladders of the league: what differs from step to step, and what was published of the steps.

Figures are percentages within a radius as published, on other photos and at another size; only their order
is compared, also at radii for which nothing was published. GeoSURGE's come from secondary sources
(configs/geosurge.py), those of TransLocator and ISNs from the slides of TransLocator's authors.
"""

from collections.abc import Callable, Mapping
from typing import Any

from configs import geoclip, geosurge, isn, translocator

FIVE_RADII = (1.0, 25.0, 200.0, 750.0, 2500.0)

# The variant of the league, "demo" or "tiny", to a config.
Make = Callable[[str], dict[str, Any]]


def changed(variants: Mapping[str, Callable[[], dict[str, Any]]], path: str, **fields: Any) -> Make:
    """A system's config with fields of one of its sections, such as `system.fusion`, changed."""

    def make(variant: str) -> dict[str, Any]:
        config = variants[variant]()
        section = config
        for name in path.split("."):
            section = section[name]
        section.update(fields)
        return config

    return make


def levels(kept: Mapping[str, tuple[int, ...]]) -> Make:
    """GeoSURGE on fewer levels, by variant; the finest is always among them."""
    return lambda variant: changed(geosurge.VARIANTS, "geocells", max_images=kept[variant])(variant)


def isn_step(*, levels: int, **fields: Any) -> Make:
    """ISN on so many of its finest levels, with fields of the system changed."""

    def make(variant: str) -> dict[str, Any]:
        config = isn.VARIANTS[variant]()
        config["geocells"]["max_images"] = config["geocells"]["max_images"][-levels:]
        config["system"].update(fields)
        return config

    return make


VARIANTS: Mapping[str, Make] = {
    "geosurge_1_level": levels({"demo": (20,), "tiny": (15,)}),
    # Which five were kept was not published.
    "geosurge_5_levels": levels({"demo": (1200, 300, 80, 40, 20), "tiny": (30, 15)}),
    "geosurge_no_fusion": changed(geosurge.VARIANTS, "system.fusion", kind="none"),
    "geosurge_1_block": changed(geosurge.VARIANTS, "system.fusion", blocks=1),
    "geosurge_low_rank": changed(geosurge.VARIANTS, "system.fusion", kind="low_rank"),
    "geosurge_direct": changed(geosurge.VARIANTS, "system.fusion", kind="direct"),
    "geosurge_class_targets": changed(geosurge.VARIANTS, "system", targets="class"),
    "geosurge_batch_negatives": changed(geosurge.VARIANTS, "system", negatives="batch"),
    "translocator_rgb": changed(translocator.VARIANTS, "system", fusion="none", scenes=0),
    "translocator_segmentation": changed(translocator.VARIANTS, "system", fusion="late", scenes=0),
    "translocator_fusion": changed(translocator.VARIANTS, "system", scenes=0),
    "isn_1_level": isn_step(levels=1, scenes=0),
    "isn_finest": isn_step(levels=3, scenes=0, decision="finest"),
    "isn_product": isn_step(levels=3, scenes=0),
    "isn_scenes_finest": isn_step(levels=3, decision="finest"),
    "geoclip_1_capsule": changed(geoclip.VARIANTS, "system.location", sigmas=(1.0,)),
    "geoclip_2_capsules": changed(geoclip.VARIANTS, "system.location", sigmas=(1.0, 4.0)),
    "geoclip_no_queue": changed(geoclip.VARIANTS, "system", queue=0),
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
            direction(
                "geosurge",
                "geosurge_5_levels",
                "GeoSURGE, YFCC26k at 1 / 25 km: 17.8 / 31.5 > 11.1 / 30.0",
                *FIVE_RADII,
            ),
            direction(
                "geosurge_5_levels",
                "geosurge_1_level",
                "GeoSURGE, YFCC26k at 1 / 25 km: 11.1 / 30.0 > 8.9 / 27.5",
                *FIVE_RADII,
            ),
        ),
    ),
    "geosurge_blocks": dict(
        steps=("geosurge_no_fusion", "geosurge_1_block", "geosurge"),
        directions=(
            direction(
                "geosurge",
                "geosurge_no_fusion",
                "GeoSURGE, YFCC26k at 1 / 25 km: 17.8 / 31.5 > 13.8 / 30.4",
                *FIVE_RADII,
            ),
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
                *FIVE_RADII,
            ),
        ),
    ),
    # Neither of what follows has published figures: sources name the choices alone.
    "geosurge_negatives": dict(steps=("geosurge_batch_negatives", "geosurge"), directions=()),
    "geoclip_capsules": dict(
        steps=("geoclip_1_capsule", "geoclip_2_capsules", "geoclip"), directions=()
    ),
    "geoclip_queue": dict(steps=("geoclip_no_queue", "geoclip"), directions=()),
    "isn": dict(
        steps=("isn_1_level", "isn_finest", "isn_product", "isn_scenes_finest", "isn"),
        directions=(
            direction(
                "isn",
                "isn_scenes_finest",
                "ISNs, Im2GPS, f* against f: 16.9/43.0/66.7 > 16.5/42.2/66.2",
                1.0,
                25.0,
                750.0,
            ),
            direction(
                "isn_scenes_finest", "isn", "ISNs, Im2GPS, f against f*: 81.0 > 80.2", 2500.0
            ),
        ),
    ),
    "translocator": dict(
        steps=(
            "translocator_rgb",
            "translocator_segmentation",
            "translocator_fusion",
            "translocator",
        ),
        directions=(
            direction(
                "translocator_segmentation",
                "translocator_rgb",
                "TransLocator, Im2GPS3k: 10.5/29.1/42.5/55.8/73.6 > 9.9/28.0/37.8/54.2/70.7",
                *FIVE_RADII,
            ),
            direction(
                "translocator_fusion",
                "translocator_segmentation",
                "TransLocator, Im2GPS3k: 11.1/30.2/45.0/56.8/78.1 > 10.5/29.1/42.5/55.8/73.6",
                *FIVE_RADII,
            ),
            direction(
                "translocator",
                "translocator_fusion",
                "TransLocator, Im2GPS3k: 11.8/31.1/46.7/58.9/80.1 > 11.1/30.2/45.0/56.8/78.1",
                *FIVE_RADII,
            ),
        ),
    ),
}
