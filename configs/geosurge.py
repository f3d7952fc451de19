"""GeoSURGE (Daruna et al., CVPR 2026): hierarchy of geocell vectors, semantic latent fusion.

    python run.py --config=configs/geosurge.py --workdir=workdir/geosurge
    python run.py --config=configs/geosurge.py:demo --workdir=workdir/demo
    python run.py --config=configs/geosurge.py:folder --config.data.source=PHOTOS --workdir=workdir/photos

The default is the paper's run: MP-16 (4.7 million photos with ADE20K maps), ViT-L/14 at 336 px, seven
levels, batch 1024. Its authors report 21 hours on 8 A6000 and, within 1 / 25 / 200 / 750 / 2500 km of the
truth, these percentages (secondary sources; this code has not been run on MP-16):

    Im2GPS3k  17.2  42.5  58.1  74.6  87.6
    YFCC4k    19.9  33.6  48.7  67.4  82.0
    GWS15k     1.0   4.6  21.9  54.7  80.8

Variants: `tiny` (seconds, for tests), `demo` (six minutes on two CPU cores, the generated Earth: about 25 %
of held-out photos within 200 km and 70 % within 2500 km, docs/benchmarks.md), `folder` (your own photos).
Fields marked "ours" are not published.
"""

from typing import Any

from ml_collections import ConfigDict

VARIANTS = ("paper", "tiny", "demo", "folder")


def paper(side: int = 336) -> dict[str, Any]:
    """The published run, on photos of `side` pixels."""
    config: dict[str, Any] = {}
    config["name"] = "GeoSURGE"
    config["seed"] = 0
    config["init_from"] = "hf:openai/clip-vit-large-patch14-336"
    config["deterministic"] = True  # GPU kernels that give the same bits on each run, at some cost

    config["data"] = dict(
        dataset="prepared",
        directory="datasets",
        source="datasets/mp16/1.0.0",
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
    config["system_name"] = "geosurge"
    config["system"] = dict(
        visual=dict(
            kind="clip",
            size="L",
            patch=14,
            registers=0,
            activation="quick_gelu",
            gated_mlp=False,
            norm_epsilon=1e-5,
            projection=0,
            preprocessing=dict(
                image_size=side,
                resize="short",
                resize_ratio=1.0,
                interpolation="bicubic",
                mean=(0.48145466, 0.4578275, 0.40821073),
                deviation=(0.26862954, 0.26130258, 0.27577711),
            ),
            trained_blocks=4,  # ours: published is "the last few"
            scan=True,
            remat=True,
            dropout=0.0,
        ),
        fusion=dict(
            kind="latent",
            blocks=3,
            latents=64,  # ours
            rank=256,  # ours
            heads=16,  # ours
            mlp_ratio=4,  # ours
            semantic_subgrid=1,  # ours
            dropout=0.0,  # ours
        ),
        embedding_width=768,
        semantic_classes=150,
        table_row_multiple=1024,  # ours: tables fit every mesh up to 1024-way
        initial_temperature=0.07,
        negatives="level",  # ours
        targets="embedding",
        missing_ancestor="mean",  # ours
        compute_dtype="bfloat16",
    )
    config["augmentation"] = dict(  # ours throughout
        crop_scale=(0.66, 1.0),
        crop_ratio=(0.75, 4 / 3),
        flip=False,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=0.05,
        grayscale=0.0,
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
        maps="",
    )
    return config


def demo(side: int = 96) -> dict[str, Any]:
    """Minutes on two CPU cores: a small tower on the generated Earth."""
    config = paper(side)
    config["name"] = "GeoSURGE demo on the generated Earth"
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
    config["system"]["visual"].update(
        dict(
            size="nano",
            patch=16,
            trained_blocks=-1,
            scan=False,
            remat=False,
        )
    )
    half = (0.5, 0.5, 0.5)
    config["system"]["visual"]["preprocessing"].update(dict(mean=half, deviation=half))
    config["system"]["fusion"].update(dict(latents=16, heads=4, mlp_ratio=2, rank=32))
    config["system"].update(
        dict(embedding_width=128, table_row_multiple=128, compute_dtype="float32")
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


def tiny() -> dict[str, Any]:
    """Seconds: every part of the system, nothing learned."""
    config = demo(32)
    config["name"] = "GeoSURGE tiny"
    config["data"].update(dict(photos=200, size=32))
    config["geocells"].update(
        dict(max_images=(60, 30, 15), min_images=2, planned_cells=(14, 16, 22))
    )
    config["system"]["visual"].update(dict(size="mu", patch=8))
    config["system"]["fusion"].update(dict(blocks=1, latents=4, heads=2, rank=8, dropout=0.1))
    config["system"]["embedding_width"] = 16
    config["training"].update(
        dict(batch_size=16, epochs=0.0, steps=8, log_every=2, evaluate_every=4, checkpoint_every=2)
    )
    config["optimizer"]["warmup_steps"] = 2
    config["evaluation"].update(dict(batch_size=16, bootstrap_samples=100))
    return config


def folder() -> dict[str, Any]:
    """Your own photos: set config.data.source to their folder."""
    config = demo()
    config["name"] = "GeoSURGE on a folder of photos"
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


def get_config(variant: str = "paper") -> ConfigDict:
    """Returns the locked config of a variant.

    Raises:
        ValueError: no such variant.
    """
    makers = dict(zip(VARIANTS, (paper, tiny, demo, folder), strict=True))
    if variant not in makers:
        raise ValueError(f"configs/geosurge.py:{variant}: expected one of {VARIANTS}")
    return ConfigDict(makers[variant]()).lock()
