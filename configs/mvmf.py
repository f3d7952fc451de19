"""MvMF (Izbicki, Papalexakis and Tsotras, ECML-PKDD 2019): a mixture of von Mises-Fisher distributions.

    python run.py --config=configs/mvmf.py --workdir=workdir/mvmf
    python run.py --config=configs/mvmf.py:demo --workdir=workdir/mvmf_demo
    python run.py --config=configs/mvmf.py:folder --config.data.source=PHOTOS --workdir=workdir/mvmf_photos

Published, within 1 / 25 / 200 / 750 / 2500 km of the truth, in percent (as TransLocator's authors quote it;
this code has not been run on MP-16):

    Im2GPS  8.4  32.6  39.4  57.2  80.2

Variants: `tiny` (seconds, for tests), `demo` (minutes on two CPU cores, the generated Earth), `folder`
(your own photos). Ours: MP-16; one component for each cell of an adaptive partition, beginning at the mean
place of its photos, all equally wide; ResNet-50; optimiser, batch and schedule, GeoSURGE's; ten crops; and
the support of the posterior, those mean places.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def paper() -> dict[str, Any]:
    """A mixture of about as many components as PlaNet has cells, on MP-16."""
    system = dict(
        visual=base.resnet("50", 224),  # ours
        initial_spread_km=100.0,  # ours
        support_weights="density",  # ours
        table_row_multiple=1024,  # ours: components fit every mesh up to 1024-way
        compute_dtype="bfloat16",  # ours
    )
    config = base.experiment("MvMF", "mvmf", system)
    config["init_from"] = "hf:microsoft/resnet-50"  # ours
    config["geocells"].update(dict(max_images=(500,), planned_cells=(21673,)))  # ours
    return config


def demo() -> dict[str, Any]:
    """Minutes on two CPU cores: a small tower on the generated Earth."""
    config = base.demo(paper())
    config["geocells"].update(dict(max_images=(20,), planned_cells=(408,)))
    config["system"].update(
        dict(
            visual=base.vit("nano", 16, 96, "clip"),
            initial_spread_km=400.0,
            table_row_multiple=128,
            compute_dtype="float32",
        )
    )
    return config


def tiny() -> dict[str, Any]:
    """Seconds: every part of the system, nothing learned."""
    config = base.tiny(demo())
    config["geocells"].update(dict(max_images=(15,), planned_cells=(22,)))
    config["system"]["visual"] = base.vit("mu", 8, 32, "clip")
    return config


def folder() -> dict[str, Any]:
    """Your own photos: set config.data.source to their folder."""
    config = base.folder(demo())
    config["geocells"]["max_images"] = (5,)
    return config


VARIANTS = {"paper": paper, "tiny": tiny, "demo": demo, "folder": folder}


def get_config(variant: str = "paper") -> ConfigDict:
    """Returns the locked config of a variant.

    Raises:
        ValueError: no such variant.
    """
    return base.choose("configs/mvmf.py", variant, VARIANTS)
