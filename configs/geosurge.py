"""GeoSURGE (Daruna et al., CVPR 2026): hierarchy of geocell vectors, semantic latent fusion.

    python run.py --config=configs/geosurge.py --workdir=workdir/geosurge
    python run.py --config=configs/geosurge.py:demo --workdir=workdir/demo
    python run.py --config=configs/geosurge.py:folder --config.data.source=PHOTOS --workdir=workdir/photos

The default is the paper's run: MP-16 (4.7 million photos with ADE20K maps), ViT-L/14 at 336 px, seven
levels, batch 1024. Its authors report 21 hours on 8 A6000 and, within 1 / 25 / 200 / 750 / 2500 km of the
truth, these percentages (secondary sources; this code has not been run on MP-16):

    Im2GPS3k  17.2  42.5  58.1  74.6  87.6
    YFCC4k    19.9  33.6  48.7  67.4  82.0
    GWS15k     1.0   4.6  21.9  54.7  80.8

Variants: `tiny` (seconds, for tests), `demo` (six minutes on two CPU cores, the generated Earth: about 25 %
of held-out photos within 200 km and 70 % within 2500 km, docs/benchmarks.md), `folder` (your own photos).
Fields marked "ours" are not published.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def paper() -> dict[str, Any]:
    """The published run."""
    system = dict(
        visual=base.vit(
            "L", 14, 336, "clip", trained_blocks=4
        ),  # ours: published is "the last few"
        fusion=dict(
            kind="latent",
            blocks=3,
            latents=64,  # ours
            rank=256,  # ours
            heads=16,  # ours
            mlp_ratio=4,  # ours
            semantic_subgrid=1,  # ours
            dropout=0.0,  # ours
        ),
        embedding_width=768,
        semantic_classes=150,
        table_row_multiple=1024,  # ours: tables fit every mesh up to 1024-way
        initial_temperature=0.07,
        negatives="level",  # ours
        targets="embedding",
        missing_ancestor="mean",  # ours
        compute_dtype="bfloat16",
    )
    config = base.experiment("GeoSURGE", "geosurge", system)
    config["init_from"] = "hf:openai/clip-vit-large-patch14-336"
    return config


def demo() -> dict[str, Any]:
    """Minutes on two CPU cores: a small tower on the generated Earth."""
    config = base.demo(paper())
    config["system"]["visual"] = base.vit("nano", 16, 96, "clip")
    config["system"]["fusion"].update(dict(latents=16, heads=4, mlp_ratio=2, rank=32))
    config["system"].update(
        dict(embedding_width=128, table_row_multiple=128, compute_dtype="float32")
    )
    return config


def tiny() -> dict[str, Any]:
    """Seconds: every part of the system, nothing learned."""
    config = base.tiny(demo())
    config["system"]["visual"] = base.vit("mu", 8, 32, "clip")
    config["system"]["fusion"].update(dict(blocks=1, latents=4, heads=2, rank=8, dropout=0.1))
    config["system"]["embedding_width"] = 16
    return config


def folder() -> dict[str, Any]:
    """Your own photos: set config.data.source to their folder."""
    return base.folder(demo())


VARIANTS = {"paper": paper, "tiny": tiny, "demo": demo, "folder": folder}


def get_config(variant: str = "paper") -> ConfigDict:
    """Returns the locked config of a variant.

    Raises:
        ValueError: no such variant.
    """
    return base.choose("configs/geosurge.py", variant, VARIANTS)
