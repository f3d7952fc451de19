"""What the entries of each image processor of Hugging Face mean as `Preprocessing`.

A reader for each kind of geometry. Facts: the image processors of transformers 4.57.6.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geosurge_jax.interop.families.entries import PREPROCESSOR, one_of, square
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.models.preprocessing import Preprocessing

Channels = tuple[float, float, float]

# Pillow's numbers of its filters.
INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}

# From this size on ConvNextImageProcessor stretches and no longer crops.
CONVNEXT_STRETCHES_FROM = 384


@dataclass(frozen=True)
class Defaults:
    """What a class of image processors takes where its file has no entry.

    Attributes:
        size: in pixels, after resizing.
        resample: Pillow's number of the filter.
        statistics: mean and standard deviation of each channel.
    """

    size: int
    resample: int
    statistics: tuple[Channels, Channels]


def short(entries: Mapping[str, Any], defaults: Defaults) -> Preprocessing:
    """Short side to `size`, then the centre square (CLIP, DINOv2's BiT processor).

    A `size` of height and width, which those classes also take, stretches the photo instead.
    """
    _scale_is_plain(entries)
    size = entries.get("size", defaults.size)
    keeps_aspect = not (isinstance(size, Mapping) and "height" in size)
    # Without the crop, only a stretched photo is sure to be a square.
    crops = one_of(
        PREPROCESSOR, entries, "do_center_crop", (True,) if keeps_aspect else (True, False), True
    )
    resized = _short_edge(size) if keeps_aspect else square(PREPROCESSOR, entries, "size", 0)
    side = square(PREPROCESSOR, entries, "crop_size", defaults.size) if crops else resized
    return _preprocessing(
        entries, defaults, "short" if keeps_aspect else "stretch", resized=resized, side=side
    )


def stretch(entries: Mapping[str, Any], defaults: Defaults) -> Preprocessing:
    """Both sides to `size`, nothing cut away (ViT, SigLIP, DINOv3, SegFormer)."""
    _scale_is_plain(entries)
    one_of(PREPROCESSOR, entries, "do_center_crop", (False, None), False)
    side = square(PREPROCESSOR, entries, "size", defaults.size)
    return _preprocessing(entries, defaults, "stretch", resized=side, side=side)


def convnext(entries: Mapping[str, Any], defaults: Defaults) -> Preprocessing:
    """The centre `crop_pct` of the photo below 384 pixels, all of it, stretched, from there on."""
    _scale_is_plain(entries)
    side = _short_edge(entries.get("size", defaults.size))
    if side >= CONVNEXT_STRETCHES_FROM:
        return _preprocessing(entries, defaults, "stretch", resized=side, side=side)
    share = entries.get("crop_pct")
    share = 224 / 256 if share is None else share
    if not 0 < share <= 1:
        raise WeightsError(f"{PREPROCESSOR}: crop_pct={share}: expected a share above 0, at most 1")
    return _preprocessing(entries, defaults, "short", resized=int(side / share), side=side)


def efficientnet(entries: Mapping[str, Any], defaults: Defaults) -> Preprocessing:
    """Stretched, perhaps cropped, perhaps moved to [-1, 1], and divided by the deviation once or twice.

    `rescale_offset` takes 1 from the rescaled pixels. `include_top`, which is the default, divides by
    `image_std` a second time: the published files hold the square roots of ImageNet's deviations.
    """
    resized = square(PREPROCESSOR, entries, "size", defaults.size)
    side = resized
    if entries.get("do_center_crop", False):
        side = square(PREPROCESSOR, entries, "crop_size", 289)
    mean, deviation = _statistics(entries, defaults)
    if entries.get("include_top", True):
        deviation = _channels([value * value for value in deviation])
    # ((255 f u - offset) - m) / s over pixels u in [0, 1] is (u - (offset + m) / 255 f) / (s / 255 f).
    scale = 255 * entries.get("rescale_factor", 1 / 255)
    if not scale > 0:
        raise WeightsError(f"{PREPROCESSOR}: rescale_factor={scale / 255}: expected above 0")
    scale = 1.0 if math.isclose(scale, 1.0) else scale
    offset = 1.0 if entries.get("rescale_offset", False) else 0.0
    mean = _channels([(offset + value) / scale for value in mean])
    deviation = _channels([value / scale for value in deviation])
    return _preprocessing(
        entries, defaults, "stretch", resized=resized, side=side, statistics=(mean, deviation)
    )


def _short_edge(size: Any) -> int:
    edge = size.get("shortest_edge") if isinstance(size, Mapping) else size
    if isinstance(edge, bool) or not isinstance(edge, int) or edge < 1:
        raise WeightsError(
            f"{PREPROCESSOR}: size={size!r} is not supported: expected a shortest_edge in pixels"
        )
    return edge


def _scale_is_plain(entries: Mapping[str, Any]) -> None:
    factor = entries.get("rescale_factor", 1 / 255)
    if not math.isclose(factor, 1 / 255, rel_tol=1e-6):
        raise WeightsError(
            f"{PREPROCESSOR}: rescale_factor={factor} is not supported: expected {1 / 255}"
        )


def _channels(values: Any) -> Channels:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _statistics(entries: Mapping[str, Any], defaults: Defaults) -> tuple[Channels, Channels]:
    found = []
    for name, default in zip(("image_mean", "image_std"), defaults.statistics, strict=True):
        value = entries.get(name)
        value = default if value is None else value
        values = [value] * 3 if isinstance(value, int | float) else [*value]
        if len(values) != 3:
            raise WeightsError(f"{PREPROCESSOR}: {name}={value!r}: expected three channels")
        found.append(_channels(values))
    return found[0], found[1]


def _preprocessing(
    entries: Mapping[str, Any],
    defaults: Defaults,
    resize: str,
    *,
    resized: int,
    side: int,
    statistics: tuple[Channels, Channels] | None = None,
) -> Preprocessing:
    code = one_of(PREPROCESSOR, entries, "resample", [*INTERPOLATIONS], defaults.resample)
    if resized < side:
        raise WeightsError(
            f"{PREPROCESSOR}: crop_size={side} is not supported: expected at most the {resized} pixels "
            f"of size, as nothing is padded"
        )
    mean, deviation = statistics or _statistics(entries, defaults)
    return Preprocessing(
        image_size=side,
        resize=resize,
        resize_ratio=resized / side,
        interpolation=INTERPOLATIONS[code],
        mean=mean,
        deviation=deviation,
    )
