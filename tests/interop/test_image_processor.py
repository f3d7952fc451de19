import pytest

from geosurge_jax.interop.families.image_processor import read_preprocessing, write_preprocessing
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.models.preprocessing import Preprocessing

HALF = (0.5, 0.5, 0.5)
CLIP = "CLIPImageProcessor"
VIT = "ViTImageProcessor"
CONVNEXT = "ConvNextImageProcessor"
EFFICIENTNET = "EfficientNetImageProcessor"


def geometry(found):
    size = round(found.image_size * found.resize_ratio)
    return found.resize, size, found.image_size, found.interpolation


# The entries of published files: openai/clip-vit-large-patch14, facebook/dinov2-base,
# google/siglip-base-patch16-224, microsoft/swin-tiny-patch4-window7-224, microsoft/resnet-50, and defaults.
@pytest.mark.parametrize(
    ("processor", "entries", "expected"),
    [
        (CLIP, {"size": 224, "crop_size": 224, "resample": 3}, ("short", 224, 224, "bicubic")),
        (CLIP, {}, ("short", 224, 224, "bicubic")),
        (
            "BitImageProcessor",
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}},
            ("short", 256, 224, "bicubic"),
        ),
        (
            CLIP,
            {"size": {"height": 336, "width": 336}, "crop_size": 336},
            ("stretch", 336, 336, "bicubic"),
        ),
        (
            "SiglipImageProcessor",
            {"size": {"height": 384, "width": 384}},
            ("stretch", 384, 384, "bicubic"),
        ),
        (VIT, {"size": 224, "resample": 3}, ("stretch", 224, 224, "bicubic")),
        ("SegformerImageProcessor", {}, ("stretch", 512, 512, "bilinear")),
        (VIT, {"size": [384, 384]}, ("stretch", 384, 384, "bilinear")),
        (CONVNEXT, {"size": 224, "crop_pct": 0.875, "resample": 3}, ("short", 256, 224, "bicubic")),
        (
            CONVNEXT,
            {"size": {"shortest_edge": 288}, "crop_pct": 0.95},
            ("short", 303, 288, "bilinear"),
        ),
        (CONVNEXT, {"size": 224, "crop_pct": None}, ("short", 256, 224, "bilinear")),
        (CONVNEXT, {"crop_pct": 0.875}, ("stretch", 384, 384, "bilinear")),
        (EFFICIENTNET, {}, ("stretch", 346, 346, "nearest")),
        (
            EFFICIENTNET,
            {"do_center_crop": True, "resample": 1},
            ("stretch", 346, 289, "lanczos"),
        ),
    ],
)
def test_geometry_is_that_of_the_class(processor, entries, expected):
    found = read_preprocessing(entries, processor)
    assert geometry(found) == expected
    assert read_preprocessing(write_preprocessing(found), VIT) == found


def test_the_class_in_the_file_decides():
    for name in ("BitImageProcessor", "BitImageProcessorFast", "BitFeatureExtractor"):
        key = "feature_extractor_type" if "Extractor" in name else "image_processor_type"
        assert geometry(read_preprocessing({key: name}, VIT))[0] == "short"


def test_efficientnet_divides_twice_and_moves_by_one():
    found = read_preprocessing({"image_mean": [0.1] * 3, "image_std": [0.5] * 3}, EFFICIENTNET)
    assert found.mean == pytest.approx([0.1] * 3) and found.deviation == pytest.approx([0.25] * 3)
    entries = {"image_std": [0.5] * 3, "include_top": False, "rescale_offset": True}
    found = read_preprocessing(
        {**entries, "rescale_factor": 1 / 127.5, "image_mean": [0.2] * 3}, EFFICIENTNET
    )
    # (2 u - 1 - 0.2) / 0.5
    assert found.mean == pytest.approx([0.6] * 3) and found.deviation == pytest.approx([0.25] * 3)


@pytest.mark.parametrize("resize", ["short", "stretch"])
@pytest.mark.parametrize("side", range(200, 260, 7))
def test_any_preprocessing_comes_back_to_the_pixel(side, resize):
    for edge in range(side, side + 60):
        made = Preprocessing(side, resize, edge / side, "lanczos", HALF, HALF)
        assert read_preprocessing(write_preprocessing(made), VIT) == made


@pytest.mark.parametrize(
    ("processor", "entries", "message"),
    [
        (
            VIT,
            {"image_processor_type": "SamImageProcessor"},
            "image_processor_type='SamImageProcessor' is not",
        ),
        (VIT, {"do_normalize": False}, "do_normalize=False is not supported: expected True"),
        (VIT, {"do_resize": False}, "do_resize=False is not supported"),
        (VIT, {"do_rescale": False}, "do_rescale=False is not supported"),
        (VIT, {"rescale_factor": 1.0}, "rescale_factor=1.0 is not supported"),
        (VIT, {"resample": 5}, r"resample=5 is not supported: expected one of \[0, 1, 2, 3\]"),
        (VIT, {"size": {"height": 224, "width": 196}}, "size=.*196.* expected a square"),
        (VIT, {"size": {"shortest_edge": 224}}, "size=.*shortest_edge.* expected a square"),
        (VIT, {"image_mean": [0.5, 0.5]}, r"image_mean=\[0.5, 0.5\]: expected three channels"),
        (CLIP, {"do_center_crop": False}, "do_center_crop=False is not supported: expected True"),
        (CLIP, {"size": {"longest_edge": 224}}, "size=.*longest_edge.* expected a shortest_edge"),
        (
            CLIP,
            {"crop_size": 256},
            "crop_size=256 is not supported: expected at most the 224 pixels",
        ),
        (CONVNEXT, {"size": 224, "crop_pct": 1.2}, "crop_pct=1.2: expected a share"),
        (EFFICIENTNET, {"rescale_factor": 0}, "rescale_factor=0.*: expected above 0"),
    ],
)
def test_what_is_not_supported_is_refused_by_entry_and_value(processor, entries, message):
    with pytest.raises(WeightsError, match="^preprocessor_config.json: " + message):
        read_preprocessing(entries, processor)
