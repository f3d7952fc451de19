"""preprocessor_config.json of Hugging Face to `Preprocessing`, and back.

The class that the file names decides what its entries mean and what holds where one is missing, so there is
one table of classes here and not one rule a family. Facts: the image processors of transformers 4.57.6.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from geosurge_jax.interop.families.entries import PREPROCESSOR, one_of
from geosurge_jax.interop.families.image_geometry import (
    INTERPOLATIONS,
    Channels,
    Defaults,
    convnext,
    efficientnet,
    short,
    stretch,
)
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.models.preprocessing import Preprocessing

IMAGENET: tuple[Channels, Channels] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: tuple[Channels, Channels] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP: tuple[Channels, Channels] = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)


@dataclass(frozen=True)
class Processor:
    """A class of image processors.

    Attributes:
        defaults: of its entries.
        read: `(preprocessor_config.json, defaults) -> Preprocessing`.
    """

    defaults: Defaults
    read: Callable[[Mapping[str, Any], Defaults], Preprocessing]


PROCESSORS = {
    "CLIPImageProcessor": Processor(Defaults(224, 3, CLIP), short),
    "BitImageProcessor": Processor(Defaults(224, 3, CLIP), short),
    "ViTImageProcessor": Processor(Defaults(224, 2, HALF), stretch),
    "SiglipImageProcessor": Processor(Defaults(224, 3, HALF), stretch),
    "SegformerImageProcessor": Processor(Defaults(512, 2, IMAGENET), stretch),
    "DINOv3ViTImageProcessor": Processor(Defaults(224, 2, IMAGENET), stretch),
    "ConvNextImageProcessor": Processor(Defaults(384, 2, HALF), convnext),
    "EfficientNetImageProcessor": Processor(Defaults(346, 0, HALF), efficientnet),
}


def read_preprocessing(entries: Mapping[str, Any], processor: str) -> Preprocessing:
    """Reads what a model expects of photos.

    Args:
        entries: preprocessor_config.json.
        processor: the class where the file names none, a name in `PROCESSORS`.

    Returns:
        The same as plain numbers.

    Raises:
        WeightsError: a class or an option that is not supported; names entry and value.
    """
    names = [entries[n] for n in ("image_processor_type", "feature_extractor_type") if n in entries]
    named = str((names or [processor])[0])
    known = _class_of(named)
    if known not in PROCESSORS:
        raise WeightsError(
            f"{PREPROCESSOR}: image_processor_type={named!r} is not supported: expected one of "
            f"{[*PROCESSORS]}"
        )
    chosen = PROCESSORS[known]
    one_of(PREPROCESSOR, entries, "do_resize", (True,), True)
    one_of(PREPROCESSOR, entries, "do_rescale", (True,), True)
    one_of(PREPROCESSOR, entries, "do_normalize", (True,), True)
    return chosen.read(entries, chosen.defaults)


def write_preprocessing(preprocessing: Preprocessing) -> dict[str, Any]:
    """The inverse of `read_preprocessing`: preprocessor_config.json of CLIP's processor.

    It can express all that `Preprocessing` can, and serves any model.
    """
    codes = {name: code for code, name in INTERPOLATIONS.items()}
    side = preprocessing.image_size
    edge = round(side * preprocessing.resize_ratio)
    short = preprocessing.resize == "short"
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": edge} if short else {"height": edge, "width": edge},
        "resample": codes[preprocessing.interpolation],
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [*preprocessing.mean],
        "image_std": [*preprocessing.deviation],
    }


def _class_of(named: str) -> str:
    """The slow class of a fast one, and today's name of what was once called a feature extractor."""
    return named.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
