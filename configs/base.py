"""What the config files share: the frame of an experiment at three sizes, and image towers.

A config file makes the frame of a published run with `experiment`, which holds everything but the system,
and turns it with `demo`, `tiny` or `folder` into a run on the generated Earth, one of seconds, or one on your
own photos. Fields marked "ours" are not published.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def experiment(name: str, system_name: str, system: dict[str, Any]) -> dict[str, Any]:
    """The frame of a run on MP-16, as GeoSURGE's is published, around a system."""
    config: dict[str, Any] = {}
    config["name"] = name
    config["seed"] = 0
    config["init_from"] = ""
    config["deterministic"] = True  # GPU kernels that give the same bits on each run, at some cost

    config["data"] = dict(
        dataset="prepared",
        directory="datasets",
        source="datasets/mp16/2.0.0",
        photos=0,
        size=0,
        seed=0,
        max_bad_fraction=0.01,
        threads=16,
        prefetch=16,
    )
    config["geocells"] = dict(
        max_images=(25000, 10000, 5000, 2000, 1000, 750, 500),  # both ends published
        min_images=50,  # ours: the habit of the family
        relative_to=0,
        min_level=2,
        max_level=30,
        drop="below",
        planned_cells=(684, 1744, 3298, 7202, 12893, 16150, 21673),  # of MP-16, for --mode=compile
    )
    config["system_name"] = system_name
    config["system"] = system
    config["augmentation"] = dict(  # ours throughout
        crop_scale=(0.66, 1.0),
        crop_ratio=(0.75, 4 / 3),
        flip=False,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=0.05,
        grayscale=0.0,
        resampling="fast",  # "exact": the pixels that evaluation would see, in twice the time
    )
    config["optimizer"] = dict(
        learning_rate=1e-4,
        schedule="halving",
        warmup_steps=0,
        weight_decay=1e-4,
        clip_norm=1.0,  # ours
        b1=0.9,
        b2=0.999,
    )
    config["training"] = dict(
        batch_size=1024,
        epochs=30.0,  # an upper bound: patience ends the run
        steps=0,
        accumulation=1,
        average_decay=0.0,
        log_every=50,
        evaluate_every=0,
        checkpoint_every=1000,
        keep=2,
        watched="validation/loss",
        minimize=True,
        patience=4,
    )
    # data: replicas; fsdp: replicas that share the storage of all parameters; model: of the tables alone.
    config["mesh"] = dict(data=-1, fsdp=1, model=1)
    config["evaluation"] = dict(
        datasets=("test",),
        checkpoint="best",
        batch_size=256,
        crops=10,
        protocol="sphere_6371",
        comparison="<=",
        bootstrap_samples=1000,
        top_k=5,
        decisions=("top", "accuracy@25km", "accuracy@200km", "geoscore", "distance"),
        decision_points=512,  # ours
        calibration_grid=(90, 180),  # ours: cells of 31,485 km2, 177 km wide
        calibration_floor=0.01,  # ours
        maps="",
    )
    return config


def demo(config: dict[str, Any]) -> dict[str, Any]:
    """Turns a frame into a run of minutes on two CPU cores, on the generated Earth."""
    config["name"] += " demo on the generated Earth"
    config["init_from"] = ""
    config["data"].update(
        dict(dataset="planet", source="", photos=6000, size=96, threads=2, prefetch=4)
    )
    config["geocells"].update(
        dict(
            max_images=(1200, 600, 300, 150, 80, 40, 20),
            min_images=5,
            min_level=1,
            planned_cells=(20, 28, 44, 83, 144, 257, 408),
        )
    )
    config["augmentation"].update(
        dict(
            crop_scale=(0.8, 1.0),
            crop_ratio=(0.9, 1.1),
            brightness=0.1,
            contrast=0.1,
            saturation=0.1,
            hue=0.0,
        )
    )
    config["optimizer"].update(
        dict(learning_rate=2e-3, schedule="cosine", warmup_steps=100, weight_decay=0.05)
    )
    config["training"].update(
        dict(
            batch_size=64,
            epochs=10.0,
            log_every=10,
            checkpoint_every=50,
            patience=0,
        )
    )
    config["evaluation"].update(dict(batch_size=64, crops=1))
    return config


def tiny(config: dict[str, Any]) -> dict[str, Any]:
    """Turns the frame of a demo into one of seconds: every part runs, nothing is learned."""
    config["name"] = config["name"].replace("demo on the generated Earth", "tiny")
    config["data"].update(dict(photos=200, size=32))
    config["geocells"].update(
        dict(max_images=(60, 30, 15), min_images=2, planned_cells=(14, 16, 22))
    )
    config["training"].update(
        dict(batch_size=16, epochs=0.0, steps=8, log_every=2, evaluate_every=4, checkpoint_every=2)
    )
    config["optimizer"]["warmup_steps"] = 2
    config["evaluation"].update(
        dict(
            batch_size=16,
            bootstrap_samples=100,
            decisions=("top", "geoscore"),
            calibration_grid=(18, 36),
        )
    )
    return config


def folder(config: dict[str, Any]) -> dict[str, Any]:
    """Turns the frame of a demo into a run on your own photos: set config.data.source to their folder."""
    config["name"] = config["name"].replace("demo on the generated Earth", "on a folder of photos")
    config["data"].update(dict(dataset="folder", source="", photos=0, size=0))
    config["geocells"].update(
        dict(
            max_images=(250, 100, 50, 20, 10, 7, 5),
            min_images=1,
            relative_to=1000,
            planned_cells=(19, 30, 39, 58, 77),
        )
    )
    config["training"].update(dict(batch_size=16, epochs=20.0, log_every=5, checkpoint_every=25))
    config["optimizer"]["warmup_steps"] = 10
    config["evaluation"]["batch_size"] = 16
    return config


def _imagenet(side: int, **changed: Any) -> dict[str, Any]:
    """What convolutional towers and Swin expect of photos of `side` pixels."""
    expected = dict(
        image_size=side,
        resize="stretch",
        resize_ratio=1.0,
        interpolation="bicubic",
        mean=IMAGENET_MEAN,
        deviation=IMAGENET_DEVIATION,
    )
    return {**expected, **changed}


def swin(size: str, side: int) -> dict[str, Any]:
    """A Swin Transformer on photos of `side` pixels, trained as a whole."""
    return dict(
        kind="swin",
        size=size,
        patch=4,
        window=2 if size == "mu" else 7,
        norm_epsilon=1e-5,
        preprocessing=_imagenet(side),
        trained_stages=-1,
        dropout=0.0,
    )


def efficientnet(size: str, side: int) -> dict[str, Any]:
    """An EfficientNet on photos of `side` pixels, trained as a whole."""
    return dict(
        kind="efficientnet",
        size=size,
        norm_epsilon=1e-3,
        preprocessing=_imagenet(side),
        trained_stages=-1,
    )


def vit(
    size: str, patch: int, side: int, kind: str = "vit", trained_blocks: int = -1
) -> dict[str, Any]:
    """A Vision Transformer of `kind` "vit" or "clip" on photos of `side` pixels."""
    large = size not in ("mu", "nano")
    clip = kind == "clip"
    preprocessing = dict(
        image_size=side,
        resize="short",
        resize_ratio=1.0,
        interpolation="bicubic" if clip else "bilinear",
        mean=HALF,
        deviation=HALF,
    )
    if clip and large:
        preprocessing.update(
            mean=(0.48145466, 0.4578275, 0.40821073),
            deviation=(0.26862954, 0.26130258, 0.27577711),
        )
    return dict(
        kind=kind,
        size=size,
        patch=patch,
        registers=0,
        activation="quick_gelu" if clip else "gelu",
        gated_mlp=False,
        norm_epsilon=1e-5 if clip else 1e-12,
        projection=0,
        preprocessing=preprocessing,
        trained_blocks=trained_blocks,
        scan=large,
        remat=large,
        dropout=0.0,
    )


def resnet(size: str, side: int) -> dict[str, Any]:
    """A residual network, all of it trained, on photos of `side` pixels with ImageNet's statistics."""
    preprocessing = dict(
        image_size=side,
        resize="short",
        resize_ratio=256 / 224,
        interpolation="bicubic",
        mean=IMAGENET_MEAN,
        deviation=IMAGENET_DEVIATION,
    )
    return dict(kind="resnet", size=size, preprocessing=preprocessing, trained_stages=-1)


def choose(
    file: str, variant: str, makers: Mapping[str, Callable[[], dict[str, Any]]]
) -> ConfigDict:
    """The locked config of a variant of a file.

    Raises:
        ValueError: no such variant; names those there are.
    """
    if variant not in makers:
        raise ValueError(f"{file}:{variant}: expected one of {tuple(makers)}")
    return ConfigDict(makers[variant]()).lock()
