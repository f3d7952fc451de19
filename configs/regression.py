"""Regression on the unit sphere: a photo to one place, the baseline that distributions are compared with.

    python run.py --config=configs/regression.py --workdir=workdir/regression
    python run.py --config=configs/regression.py:demo --workdir=workdir/regression_demo
    python run.py --config=configs/regression.py:folder --config.data.source=PHOTOS --workdir=workdir/own

OSV-5M (Astruc et al., CVPR 2024) reports of its regression baseline, on its own test set (this code has not
been run on it): GeoScore 3028, a mean distance of 1481 km, and the right country for 56.5 %, region for
16.3 %, sub-region for 1.5 % and city for 0.7 % of the photos, where its classifiers are at 3361 and 68.0 /
39.4 / 10.3 / 5.9. So expect a small mean distance, and few photos within 25 km: the mean of two likely
places is neither.

Variants: `tiny` (seconds, for tests), `demo` (minutes on two CPU cores, the generated Earth), `folder`
(your own photos). Ours: all but the idea; MP-16, a CLIP tower with four trained blocks, and GeoSURGE's
optimiser, batch and schedule. The geocells of the frame play no part in the system.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def paper() -> dict[str, Any]:
    """The baseline on MP-16."""
    system = dict(
        visual=base.vit("L", 14, 336, "clip", trained_blocks=4),  # ours
        loss="squared_chord",  # ours
        compute_dtype="bfloat16",  # ours
    )
    config = base.experiment("Regression", "regression", system)
    config["init_from"] = "hf:openai/clip-vit-large-patch14-336"
    config["geocells"].update(dict(max_images=(1000,), planned_cells=(12893,)))
    # Of the places that several crops lead to none would be likelier than another.
    config["evaluation"]["crops"] = 1
    return config


def demo() -> dict[str, Any]:
    """Minutes on two CPU cores: a small tower on the generated Earth."""
    config = base.demo(paper())
    config["geocells"].update(dict(max_images=(20,), planned_cells=(408,)))
    config["system"].update(visual=base.vit("nano", 16, 96, "clip"), compute_dtype="float32")
    return config


def tiny() -> dict[str, Any]:
    """Seconds: every part of the system, nothing learned."""
    config = base.tiny(demo())
    config["system"]["visual"] = base.vit("mu", 8, 32, "clip")
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
    return base.choose("configs/regression.py", variant, VARIANTS)
