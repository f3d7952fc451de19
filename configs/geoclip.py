"""GeoCLIP (Vivanco Cepeda et al., NeurIPS 2023): photos against places, a gallery at test time.

    python run.py --config=configs/geoclip.py --workdir=workdir/geoclip
    python run.py --config=configs/geoclip.py:demo --workdir=workdir/geoclip-demo
    python run.py --config=configs/geoclip.py:folder --config.data.source=PHOTOS --workdir=workdir/photos
    python run.py --config=configs/geoclip.py --workdir=workdir/geoclip --mode=query \
        --text_encoder=CLIP_DIRECTORY "a fishing village in Norway"

The default is the paper's model on MP-16: a frozen CLIP ViT-L/14 at 224 px, a head, and a location encoder
of three capsules. Within 1 / 25 / 200 / 750 / 2500 km its authors, or others who ran it, report these
percentages (this code has not been run on MP-16):

    Im2GPS3k  14.11  34.47  50.65  69.67  83.82   (G3's and GeoCLIP's tables)
    YFCC4k     9.59  19.31  32.63  55.00  74.69   (run by G3's authors)
    GWS15k     0.6    3.1   16.9   45.7   74.1

Learning rate, decay and noise are those of public re-trainings, since the authors' training script is not
public; batch size and epochs are ours. Variants: `mercator` (G3's projection), `tiny` (seconds), `demo`
(minutes on two CPU cores, the generated Earth), `folder` (your own photos).
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def paper() -> dict[str, Any]:
    """The published model."""
    visual = base.vit("L", 14, 224, "clip", trained_blocks=0)
    visual["projection"] = 768
    system = dict(
        visual=visual,
        head=dict(hidden=768, width=512),
        location=dict(
            projection="equal_earth",
            sigmas=(1.0, 16.0, 256.0),
            frequencies=256,
            hidden=1024,
            width=512,
        ),
        initial_temperature=0.07,
        queue=4096,
        batch_noise_metres=150.0,
        queue_noise_metres=1000.0,
        gallery="train",
        gallery_places=100_000,
        gallery_block=8192,  # ours
        compute_dtype="bfloat16",
    )
    config = base.experiment("GeoCLIP", "geoclip", system)
    config["init_from"] = "hf:openai/clip-vit-large-patch14"
    config["augmentation"].update(crop_scale=(0.08, 1.0), brightness=0.4, contrast=0.4)
    config["augmentation"].update(saturation=0.4, hue=0.1, grayscale=0.2, flip=True)
    config["optimizer"].update(learning_rate=3e-5, weight_decay=1e-6)
    config["training"]["batch_size"] = 512
    return config


def mercator() -> dict[str, Any]:
    """G3's variant of the location encoder: the same capsules on the Web Mercator."""
    config = paper()
    config["name"] = "GeoCLIP on the Web Mercator"
    config["system"]["location"]["projection"] = "web_mercator"
    return config


def demo() -> dict[str, Any]:
    """Minutes on two CPU cores: a small tower, trained, on the generated Earth."""
    config = base.demo(paper())
    config["system"]["visual"] = base.vit("nano", 16, 96, "clip")
    config["system"]["head"].update(hidden=128, width=128)
    config["system"]["location"].update(frequencies=64, hidden=128, width=128)
    config["system"]["location"]["sigmas"] = (1.0, 4.0, 16.0)  # ours: 6000 photos hold no street
    config["system"].update(queue=512, gallery_block=128, compute_dtype="float32")
    config["augmentation"].update(flip=False, grayscale=0.0)
    return config


def tiny() -> dict[str, Any]:
    """Seconds: every part of the system, nothing learned."""
    config = base.tiny(demo())
    config["system"]["visual"] = base.vit("mu", 8, 32, "clip")
    config["system"]["visual"]["projection"] = 24
    config["system"]["head"].update(hidden=16, width=16)
    config["system"]["location"].update(frequencies=8, hidden=16, width=16)
    config["system"].update(queue=24, gallery_places=100)
    return config


def folder() -> dict[str, Any]:
    """Your own photos: set config.data.source to their folder."""
    config = base.folder(demo())
    config["system"]["queue"] = 64
    return config


VARIANTS = {"paper": paper, "mercator": mercator, "tiny": tiny, "demo": demo, "folder": folder}


def get_config(variant: str = "paper") -> ConfigDict:
    """Returns the locked config of a variant.

    Raises:
        ValueError: no such variant.
    """
    return base.choose("configs/geoclip.py", variant, VARIANTS)
