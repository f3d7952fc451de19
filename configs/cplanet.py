"""CPlaNet (Seo et al., ECCV 2018): classifiers over overlapping partitions vote for their intersections.

    python run.py --config=configs/cplanet.py --workdir=workdir/cplanet
    python run.py --config=configs/cplanet.py:demo --workdir=workdir/cplanet_demo
    python run.py --config=configs/cplanet.py:folder --config.data.source=PHOTOS --workdir=workdir/own

Published for five geoclass sets and PlaNet's, trained on 30.3 million photos, within 1 / 25 / 200 / 750 /
2500 km of the truth, in percent (YFCC4k measured by others; this code has not been run on MP-16):

    Im2GPS    16.5  37.1  46.4  62.0  78.5
    Im2GPS3k  10.2  26.5  34.6  48.6  64.6
    YFCC4k     7.9  14.8  21.9  36.4  55.5

Variants: `tiny` (seconds, for tests), `demo` (minutes on two CPU cores, the generated Earth), `folder`
(your own photos). Ours: MP-16; the sets, S2 partitions of the turned sphere where the paper merges base
cells by what photos look like; their sizes; ResNet-50; optimiser, batch and schedule, GeoSURGE's; ten
crops. The geocells of the frame play no part in the system.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def paper() -> dict[str, Any]:
    """The published run's number of sets, on MP-16."""
    system = dict(
        visual=base.resnet("50", 224),  # ours
        max_images=(
            400,
            1000,
            1000,
            1000,
            1000,
            1000,
        ),  # ours: PlaNet's partition and five turned ones
        relative_to=4_718_111,  # ours: the photos of MP-16 that public partitions cover
        min_images=50,  # ours
        min_intersection_images=10,  # ours: bounds the number of intersections
        min_level=2,  # ours
        rotation_seed=0,  # ours
        combination="probability",
        table_row_multiple=1024,  # ours: tables fit every mesh up to 1024-way
        compute_dtype="bfloat16",  # ours
    )
    config = base.experiment("CPlaNet", "cplanet", system)
    config["init_from"] = "hf:microsoft/resnet-50"  # ours
    config["geocells"].update(dict(max_images=(1000,), planned_cells=(12893,)))
    return config


def demo() -> dict[str, Any]:
    """Minutes on two CPU cores: a small tower and four sets on the generated Earth."""
    config = base.demo(paper())
    config["geocells"].update(dict(max_images=(20,), planned_cells=(408,)))
    config["system"].update(
        dict(
            visual=base.vit("nano", 16, 96, "clip"),
            max_images=(80, 80, 80, 80),
            relative_to=0,
            min_images=5,
            min_intersection_images=1,
            min_level=1,
            table_row_multiple=128,
            compute_dtype="float32",
        )
    )
    return config


def tiny() -> dict[str, Any]:
    """Seconds: every part of the system, nothing learned."""
    config = base.tiny(demo())
    config["system"].update(visual=base.vit("mu", 8, 32, "clip"), max_images=(30, 30), min_images=2)
    return config


def folder() -> dict[str, Any]:
    """Your own photos: set config.data.source to their folder."""
    config = base.folder(demo())
    config["system"].update(max_images=(20, 20, 20), relative_to=1000, min_images=1)
    return config


VARIANTS = {"paper": paper, "tiny": tiny, "demo": demo, "folder": folder}


def get_config(variant: str = "paper") -> ConfigDict:
    """Returns the locked config of a variant.

    Raises:
        ValueError: no such variant.
    """
    return base.choose("configs/cplanet.py", variant, VARIANTS)
