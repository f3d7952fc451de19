"""PlaNet (Weyand, Kostrikov and Philbin, ECCV 2016): photo geolocation as classification into adaptive cells.

    python run.py --config=configs/planet_classifier.py --workdir=workdir/planet
    python run.py --config=configs/planet_classifier.py:demo --workdir=workdir/planet_demo
    python run.py --config=configs/planet_classifier.py:folder --config.data.source=DIR --workdir=workdir/own

One adaptive partition, one softmax: the system "isn" with a single level. (The data set "planet" of this
project is the generated Earth, and has nothing to do with it.) The paper trained an Inception network on 91
million photos, with at most 10,000 and at least 50 in a cell, which made 26,263 cells; published, within 1
/ 25 / 200 / 750 / 2500 km of the truth, in percent (Im2GPS3k and YFCC4k measured by others; this code has
not been run on MP-16):

    Im2GPS     8.4  24.5  37.6  53.6  71.3
    Im2GPS3k   8.5  24.8  34.3  48.4  64.6
    YFCC4k     5.6  14.3  22.2  36.4  55.8

Variants: `tiny` (seconds, for tests), `demo` (minutes on two CPU cores, the generated Earth), `folder`
(your own photos). Ours: MP-16 instead of 91 million photos, and so 400 at most in a cell for about as many
cells; ResNet-50; optimiser, batch and schedule, GeoSURGE's; ten crops.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def paper() -> dict[str, Any]:
    """The published partition's size on MP-16."""
    system = dict(
        visual=base.resnet("50", 224),  # ours: published is Inception with batch normalisation
        scenes=0,
        scene_networks="shared",
        gate_weight=1.0,
        decision="finest",
        missing_ancestor="mean",
        table_row_multiple=1024,  # ours: tables fit every mesh up to 1024-way
        compute_dtype="bfloat16",  # ours
    )
    config = base.experiment("PlaNet", "isn", system)
    config["init_from"] = "hf:microsoft/resnet-50"  # ours
    config["geocells"].update(
        dict(
            max_images=(400,),  # ours: 10,000 of 91 million photos
            min_images=50,
            planned_cells=(26263,),
        )
    )
    return config


def demo() -> dict[str, Any]:
    """Minutes on two CPU cores: a small tower on the generated Earth."""
    config = base.demo(paper())
    config["geocells"].update(dict(max_images=(20,), planned_cells=(408,)))
    config["system"].update(
        dict(
            visual=base.vit("nano", 16, 96, "clip"),
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
    return base.choose("configs/planet_classifier.py", variant, VARIANTS)
