"""What transformers' image processors make of small photos: squares of whole levels, and normalised levels.

All processors stand in one oracle, `config["processors"]` by name with class and entries.
"""

import numpy as np

from tests.parity.oracle import Oracle

PROCESSORS = {
    "clip": ("CLIPImageProcessor", {"size": {"shortest_edge": 24}, "crop_size": 24}),
    "clip_small": ("CLIPImageProcessor", {"size": {"shortest_edge": 17}, "crop_size": 17}),
    "dinov2": (
        "BitImageProcessor",
        {
            "size": {"shortest_edge": 24}, "crop_size": {"height": 21, "width": 21},
            "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
        },
    ),
    "siglip": ("SiglipImageProcessor", {"size": {"height": 20, "width": 20}}),
    "vit": ("ViTImageProcessor", {"size": {"height": 20, "width": 20}}),
    "convnext": ("ConvNextImageProcessor", {"size": {"shortest_edge": 14}, "crop_pct": 0.875}),
    "efficientnet": ("EfficientNetImageProcessor", {"size": {"height": 20, "width": 20}}),
}  # fmt: skip

# Height and width.
SHAPES = {
    "landscape": (30, 45), "portrait": (45, 30), "odd": (25, 37), "small": (13, 15), "panorama": (25, 70),
}  # fmt: skip


def noise(height, width):
    random = np.random.default_rng(height * width)
    return random.integers(0, 256, (height, width, 3)).astype(np.uint8)


def gradient(height, width):
    """Smooth, of another slope and direction in each channel."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    channels = rows, (rows + columns) / 2, 1 - columns**2
    return np.round(255 * np.stack(channels, -1)).astype(np.uint8)


def photos():
    made = {f"{name}_noise": noise(*SHAPES[name]) for name in ("landscape", "odd", "small")}
    smooth = ("landscape", "portrait", "panorama")
    return made | {f"{name}_gradient": gradient(*SHAPES[name]) for name in smooth}


def levels():
    """Every level of every channel once, uint8 [16, 16, 3]."""
    return np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)


def squares(processor, photo):
    """The square before its levels are scaled and normalised, uint8 [size, size, 3]."""
    # EfficientNet's divides by the deviation a second time unless told otherwise.
    once = {"include_top": False} if hasattr(processor, "include_top") else {}
    made = processor([photo], do_rescale=False, do_normalize=False, return_tensors="np", **once)
    square = np.asarray(made["pixel_values"][0]).transpose(1, 2, 0)
    assert np.array_equal(square, np.round(square))
    return square.astype(np.uint8)


def normalized(processor, square):
    """Scaled and normalised, float32 [size, size, 3]."""
    options = {} if not hasattr(processor, "do_center_crop") else {"do_center_crop": False}
    made = processor([square], do_resize=False, return_tensors="np", **options)
    return np.asarray(made["pixel_values"][0], np.float32).transpose(1, 2, 0)


def oracles():
    import transformers

    expected = {}
    for name, (kind, entries) in PROCESSORS.items():
        processor = getattr(transformers, kind)(**entries)
        expected[f"{name}/levels"] = normalized(processor, levels())
        for photo, pixels in photos().items():
            expected[f"{name}/{photo}"] = squares(processor, pixels)
    processors = {
        name: {"image_processor_type": kind, **entries}
        for name, (kind, entries) in PROCESSORS.items()
    }
    return [
        Oracle(
            name="image_processors",
            config={"processors": processors},
            preprocessor=None,
            weights={},
            inputs={**photos(), "levels": levels()},
            expected=expected,
            source=f"transformers {transformers.__version__}",
        )
    ]
