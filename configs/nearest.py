"""[L] kNN, sigma = 4 (Vo, Jacobs and Hays, ICCV 2017): trained to classify, used to find neighbours.

    python run.py --config=configs/nearest.py --workdir=workdir/nearest
    python run.py --config=configs/nearest.py:demo --workdir=workdir/nearest_demo
    python run.py --config=configs/nearest.py:folder --config.data.source=PHOTOS --workdir=workdir/own

A photo's answer is a kernel density over the places of the training photos whose embeddings are nearest to
its own. Published, within 1 / 25 / 200 / 750 / 2500 km of the truth, in percent, trained on 6 million
photos and matched with as many, or with 28 million (Im2GPS3k measured by others; this code has not been run
on MP-16):

    Im2GPS             12.2  33.3  44.3  57.4  71.3
    Im2GPS, 28 million 14.4  33.3  47.7  61.6  73.4
    Im2GPS3k            7.2  19.4  26.9  38.9  55.9

Variants: `tiny` (seconds, for tests), `demo` (minutes on two CPU cores, the generated Earth), `folder`
(your own photos). k, the power of the weights and the kernel are those of the authors' program, see
`NearestConfig`. Ours: MP-16, both to train on and to match with; ResNet-50 and the embedding's width; an
adaptive partition of about as many cells as their 7011 classes; an exact search; the answer stands on a
neighbour's place, where theirs is the densest pixel of a map, moved to a neighbour within 100 km;
optimiser, batch and schedule, GeoSURGE's; ten crops.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def paper() -> dict[str, Any]:
    """The published search behind a classifier of MP-16."""
    system = dict(
        visual=base.resnet("50", 224),  # ours
        embedding_width=512,  # ours
        neighbours=100,
        distance_power=10.0,
        spread_degrees=4.0,
        table_row_multiple=1024,  # ours: tables fit every mesh up to 1024-way
        compute_dtype="bfloat16",  # ours
    )
    config = base.experiment("[L] kNN", "nearest", system)
    config["init_from"] = "hf:microsoft/resnet-50"  # ours
    config["geocells"].update(dict(max_images=(2000,), planned_cells=(7202,)))  # ours
    return config


def demo() -> dict[str, Any]:
    """Minutes on two CPU cores: a small tower on the generated Earth."""
    config = base.demo(paper())
    config["geocells"].update(dict(max_images=(40,), planned_cells=(257,)))
    config["system"].update(
        dict(
            visual=base.vit("nano", 16, 96, "clip"),
            embedding_width=128,
            neighbours=20,
            table_row_multiple=128,
            compute_dtype="float32",
        )
    )
    return config


def tiny() -> dict[str, Any]:
    """Seconds: every part of the system, nothing learned."""
    config = base.tiny(demo())
    config["geocells"].update(dict(max_images=(15,), planned_cells=(22,)))
    config["system"].update(visual=base.vit("mu", 8, 32, "clip"), embedding_width=16, neighbours=5)
    return config


def folder() -> dict[str, Any]:
    """Your own photos: set config.data.source to their folder."""
    config = base.folder(demo())
    config["geocells"]["max_images"] = (10,)
    return config


VARIANTS = {"paper": paper, "tiny": tiny, "demo": demo, "folder": folder}


def get_config(variant: str = "paper") -> ConfigDict:
    """Returns the locked config of a variant.

    Raises:
        ValueError: no such variant.
    """
    return base.choose("configs/nearest.py", variant, VARIANTS)
