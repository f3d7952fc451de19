"""Individual scene networks (Mueller-Budack et al., ECCV 2018): geocell classifiers for each kind of scene.

    python run.py --config=configs/isn.py --workdir=workdir/isn
    python run.py --config=configs/isn.py:demo --workdir=workdir/isn_demo
    python run.py --config=configs/isn.py:folder --config.data.source=PHOTOS --workdir=workdir/isn_photos

The default is the paper's ISN (M, f*, S3) on MP-16: ResNet-101, three partitions (of 3298, 7202 and 12893
cells), one network each for indoor, natural and urban photos. Published, within 1 / 25 / 200 / 750 / 2500
km of the truth, in percent (this code has not been run on MP-16):

    Im2GPS    M, f,  S3  16.5  42.2  51.9  66.2  81.0
    Im2GPS    M, f*, S3  16.9  43.0  51.9  66.7  80.2
    Im2GPS3k             10.5  28.0  36.6  49.7  66.0
    YFCC4k                6.5  16.2  23.8  37.4  55.0    measured by others

Variants: `tiny` (seconds, for tests), `demo` (minutes on two CPU cores, the generated Earth), `folder`
(your own photos, one network for all: others need photos whose scenes are known), and the paper's steps on
the generated Earth: `single` (L: one partition), `multi` (M, f: three, read by the finest), `product` (M,
f*: their product), `scenes` (M, f*, S3; the same as `demo`). Ours: the gate, a head of the system where the
paper has a ResNet-152 trained on Places365; optimiser, batch and schedule, GeoSURGE's; crops averaged; that
batch normalisation keeps the statistics of the weights that the run begins with.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def paper() -> dict[str, Any]:
    """The published run."""
    system = dict(
        visual=base.resnet("101", 224),
        scenes=3,
        scene_networks="separate",
        gate_weight=1.0,  # ours
        decision="product",
        missing_ancestor="mean",  # ours
        table_row_multiple=1024,  # ours: tables fit every mesh up to 1024-way
        compute_dtype="bfloat16",  # ours
    )
    config = base.experiment("ISN", "isn", system)
    config["init_from"] = "hf:microsoft/resnet-101"
    config["geocells"].update(
        dict(
            max_images=(5000, 2000, 1000),
            min_images=50,
            drop="at_or_below",  # as the authors' program
            planned_cells=(3298, 7202, 12893),
        )
    )
    config["evaluation"]["crops"] = 5  # as the authors' program
    return config


def demo() -> dict[str, Any]:
    """Minutes on two CPU cores: a small tower that all scenes share, on the generated Earth."""
    config = base.demo(paper())
    config["geocells"].update(dict(max_images=(80, 40, 20), planned_cells=(144, 257, 408)))
    config["system"].update(
        dict(
            visual=base.vit("nano", 16, 96, "clip"),
            scene_networks="shared",
            table_row_multiple=128,
            compute_dtype="float32",
        )
    )
    return config


def product() -> dict[str, Any]:
    """M, f*: one network for all scenes."""
    config = demo()
    config["name"] += ", M f*"
    config["system"]["scenes"] = 0
    return config


def multi() -> dict[str, Any]:
    """M, f: trained on three partitions, read by the finest."""
    config = product()
    config["name"] = config["name"].replace("f*", "f")
    config["system"]["decision"] = "finest"
    return config


def single() -> dict[str, Any]:
    """L: the finest partition alone."""
    config = multi()
    config["name"] = config["name"].replace("M f", "L")
    config["geocells"].update(dict(max_images=(20,), planned_cells=(408,)))
    return config


def tiny() -> dict[str, Any]:
    """Seconds: three separate networks and the gate, nothing learned."""
    config = base.tiny(demo())
    config["system"].update(visual=base.vit("mu", 8, 32, "clip"), scene_networks="separate")
    return config


def folder() -> dict[str, Any]:
    """Your own photos: set config.data.source to their folder."""
    config = base.folder(demo())
    config["geocells"]["max_images"] = (20, 10, 5)
    config["system"]["scenes"] = 0
    return config


VARIANTS = {
    "paper": paper,
    "tiny": tiny,
    "demo": demo,
    "folder": folder,
    "single": single,
    "multi": multi,
    "product": product,
    "scenes": demo,
}


def get_config(variant: str = "paper") -> ConfigDict:
    """Returns the locked config of a variant.

    Raises:
        ValueError: no such variant.
    """
    return base.choose("configs/isn.py", variant, VARIANTS)
