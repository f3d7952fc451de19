"""GeoDecoder (Clark et al., CVPR 2023): a query for each hierarchy and scene looks at a photo's tokens.

    python run.py --config=configs/geodecoder.py --workdir=workdir/geodecoder
    python run.py --config=configs/geodecoder.py:demo --workdir=workdir/demo
    python run.py --config=configs/geodecoder.py:folder --config.data.source=PHOTOS --workdir=workdir/photos

The default is the published setting as far as it was found: MP-16 with Places365 scenes, Swin-B at 224 px,
seven levels and 16 scenes. Its results as others quote them, within 1 / 25 / 200 / 750 / 2500 km of the
truth, in percent (this code has not been run on MP-16):

    Im2GPS3k  12.8  33.5  45.9  61.0  76.1
    YFCC4k    10.3  24.4  33.9  50.0  68.7
    GWS15k     0.7   1.5   8.7  26.9  50.5

`development` is the setting of its authors' early code: ViT-B/16, three levels, all queries together in six
layers. `tiny` (seconds), `demo` (minutes on the generated Earth) and `folder` (your own photos) are the whole
system with a small tower. Fields marked "ours" are not published; those marked "code" are the early code's.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def paper() -> dict[str, Any]:
    """The published run."""
    system = dict(
        visual=base.swin("B", 224),
        decoder=dict(
            shared_layers=5,  # ours
            separate_layers=3,  # ours
            width=768,  # code
            heads=12,  # code
            mlp_width=1024,  # code
            dropout=0.0,  # ours
        ),
        scenes=16,
        training_scene="straight_through",  # ours
        scene_weight=1.0,  # code
        level_weights=(),  # ours
        label_smoothing=0.1,  # code
        missing_ancestor="mean",  # ours
        table_row_multiple=1024,  # ours
        compute_dtype="bfloat16",
    )
    config = base.experiment("GeoDecoder", "geodecoder", system)
    config["init_from"] = "hf:microsoft/swin-base-patch4-window7-224-in22k"
    # The early code knows SGD and AdamW, and halves the rate every fourth epoch; the cosine is ours.
    config["optimizer"].update(dict(schedule="cosine", warmup_steps=5_000))
    config["training"].update(dict(batch_size=256, epochs=40.0, patience=0))  # code
    return config


def development() -> dict[str, Any]:
    """The setting of the early code."""
    config = paper()
    config["name"] = "GeoDecoder in development"
    config["init_from"] = "hf:google/vit-base-patch16-224-in21k"
    config["geocells"].update(
        dict(max_images=(5000, 2000, 1000), planned_cells=(3298, 7202, 12893))
    )
    config["system"]["visual"] = base.vit("B", 16, 224)
    config["system"]["decoder"].update(dict(shared_layers=6, separate_layers=0))
    config["system"]["level_weights"] = (0.5, 0.3, 0.2)
    return config


def demo() -> dict[str, Any]:
    """Minutes on two CPU cores: a small tower and decoder on the generated Earth."""
    config = base.demo(paper())
    config["system"]["visual"] = base.vit("nano", 16, 96)
    config["system"]["decoder"].update(
        dict(shared_layers=1, separate_layers=1, width=128, heads=4, mlp_width=256)
    )
    config["system"].update(dict(scenes=3, table_row_multiple=128, compute_dtype="float32"))
    return config


def tiny() -> dict[str, Any]:
    """Seconds: every part of the system, nothing learned."""
    config = base.tiny(demo())
    config["system"]["visual"] = base.vit("mu", 8, 32)
    config["system"]["decoder"].update(dict(width=32, heads=2, mlp_width=64, dropout=0.1))
    return config


def folder() -> dict[str, Any]:
    """Your own photos: set config.data.source to their folder."""
    return base.folder(demo())


VARIANTS = {
    "paper": paper,
    "development": development,
    "tiny": tiny,
    "demo": demo,
    "folder": folder,
}


def get_config(variant: str = "paper") -> ConfigDict:
    """Returns the locked config of a variant.

    Raises:
        ValueError: no such variant.
    """
    return base.choose("configs/geodecoder.py", variant, VARIANTS)
