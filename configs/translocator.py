"""TransLocator (Pramanick et al., ECCV 2022): photo and segmentation in two ViT, geocells and scenes.

    python run.py --config=configs/translocator.py --workdir=workdir/translocator
    python run.py --config=configs/translocator.py:demo --workdir=workdir/demo
    python run.py --config=configs/translocator.py:folder --config.data.source=PHOTOS --workdir=workdir/photos

The default is the paper's run: MP-16 with ADE20K maps and Places365 scenes, two ViT-B/16 at 224 px, three
levels of 3298, 7202 and 12893 cells. Its authors report, within 1 / 25 / 200 / 750 / 2500 km of the truth,
these percentages (their slides; this code has not been run on MP-16):

    Im2GPS     19.9  48.1  64.6  75.6  86.7
    Im2GPS3k   11.8  31.1  46.7  58.9  80.1
    YFCC4k      8.4  18.6  27.0  41.1  60.4
    YFCC26k     7.2  17.8  28.0  41.3  60.6

The steps of its ablation are variants, on Im2GPS3k as published:

    resnet101         9.0  25.1  32.8  46.1  63.5    the photo alone, other towers
    efficientnet_b4   9.2  26.8  32.7  47.0  63.9
    rgb               9.9  28.0  37.8  54.2  70.7    ViT-B/16
    segmentation     10.5  29.1  42.5  55.8  73.6    the second branch, joined at the end
    fusion           11.1  30.2  45.0  56.8  78.1    class tokens exchanged after each layer
    paper            11.8  31.1  46.7  58.9  80.1    scenes as a second task

`vit_mt` is the photo alone with scenes (Im2GPS 18.2 46.4 62.1 74.5 85.2). `tiny` (seconds), `demo` (minutes
on the generated Earth) and `folder` (your own photos) are the whole system with a small tower. Fields marked
"ours" are not published; those marked "code" are the released code's, the paper's own were not found.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def paper() -> dict[str, Any]:
    """The published run."""
    # The exchange runs two towers block by block, which a scanned stack cannot.
    visual = {**base.vit("B", 16, 224), "scan": False}
    system = dict(
        visual=visual,
        fusion="exchange",
        segmentation_input="colours",  # code: both occur; with colours both towers begin with weights
        semantic_classes=150,
        semantic_subgrid=1,  # ours
        attention_width=8,  # code
        attention_dropout=0.2,  # code
        level_weights=(0.5, 0.3, 0.2),  # code
        scenes=16,  # code: 3, 16 or 365
        scene_weight=1.0,  # code
        decision="product",  # ours
        missing_ancestor="mean",  # ours
        table_row_multiple=1024,  # ours
        compute_dtype="bfloat16",
    )
    config = base.experiment("TransLocator", "translocator", system)
    config["init_from"] = "hf:google/vit-base-patch16-224-in21k"
    config["geocells"].update(
        dict(max_images=(5000, 2000, 1000), min_images=50, planned_cells=(3298, 7202, 12893))
    )
    # The released code trains with SGD; AdamW at the rate usual for a pretrained ViT is ours.
    config["optimizer"].update(dict(schedule="cosine", warmup_steps=10_000))
    config["training"].update(dict(epochs=10.0, patience=0))  # ours
    return config


def fusion() -> dict[str, Any]:
    """Two branches that exchange class tokens; no scenes."""
    config = paper()
    config["name"] = "TransLocator without scenes"
    config["system"]["scenes"] = 0
    return config


def segmentation() -> dict[str, Any]:
    """Two branches that meet at the end alone."""
    config = fusion()
    config["name"] = "TransLocator's branches without exchange"
    config["system"]["fusion"] = "late"
    return config


def rgb() -> dict[str, Any]:
    """The photo alone."""
    config = fusion()
    config["name"] = "TransLocator's ViT"
    config["system"]["fusion"] = "none"
    config["system"]["visual"] = base.vit("B", 16, 224)
    return config


def vit_mt() -> dict[str, Any]:
    """The photo alone, with scenes."""
    config = rgb()
    config["name"] = "TransLocator's ViT-MT"
    config["system"]["scenes"] = 16
    return config


def resnet101() -> dict[str, Any]:
    """The photo alone in a ResNet-101."""
    config = rgb()
    config["name"] = "TransLocator's ResNet-101"
    config["init_from"] = "hf:microsoft/resnet-101"
    config["system"]["visual"] = base.resnet("101", 224)
    return config


def efficientnet_b4() -> dict[str, Any]:
    """The photo alone in an EfficientNet-B4."""
    config = rgb()
    config["name"] = "TransLocator's EfficientNet-B4"
    config["init_from"] = "hf:google/efficientnet-b4"
    config["system"]["visual"] = base.efficientnet("B4", 380)
    return config


def demo() -> dict[str, Any]:
    """Minutes on two CPU cores: small towers on the generated Earth."""
    config = base.demo(paper())
    config["geocells"].update(dict(max_images=(300, 80, 20), planned_cells=(44, 144, 408)))
    config["system"]["visual"] = base.vit("nano", 16, 96)
    # There are no weights to begin with, for which the segmentation would have to be a picture.
    config["system"].update(
        dict(segmentation_input="classes", table_row_multiple=128, compute_dtype="float32")
    )
    return config


def tiny() -> dict[str, Any]:
    """Seconds: every part of the system, nothing learned."""
    config = base.tiny(demo())
    config["system"]["visual"] = base.vit("mu", 8, 32)
    return config


def folder() -> dict[str, Any]:
    """Your own photos: set config.data.source to their folder."""
    config = base.folder(demo())
    config["geocells"].update(dict(max_images=(100, 20, 5), planned_cells=(30, 58, 77)))
    return config


VARIANTS = {
    "paper": paper,
    "tiny": tiny,
    "demo": demo,
    "folder": folder,
    "rgb": rgb,
    "vit_mt": vit_mt,
    "segmentation": segmentation,
    "fusion": fusion,
    "resnet101": resnet101,
    "efficientnet_b4": efficientnet_b4,
}


def get_config(variant: str = "paper") -> ConfigDict:
    """Returns the locked config of a variant.

    Raises:
        ValueError: no such variant.
    """
    return base.choose("configs/translocator.py", variant, VARIANTS)
