"""The range of every number in a config, so that an impossible one is rejected before anything is made."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass


class ConfigError(ValueError):
    """A config value that is unknown, missing, out of range or of the wrong type; one line with the key."""


@dataclass(frozen=True)
class Range:
    """Numbers that a config key may have.

    Attributes:
        expected: the same in words.
        holds: whether a number is one of them.
    """

    expected: str
    holds: Callable[[float], bool]


ANY = Range("a finite number", math.isfinite)
ABOVE_0 = Range("above 0", lambda value: value > 0)
FROM_0 = Range("0 or more", lambda value: value >= 0)
FROM_1 = Range("1 or more", lambda value: value >= 1)
FROM_0_TO_BELOW_1 = Range("0 to below 1", lambda value: 0 <= value < 1)
BETWEEN_0_AND_1 = Range("above 0 and below 1", lambda value: 0 < value < 1)
FROM_0_TO_1 = Range("0 to 1", lambda value: 0 <= value <= 1)
HALF_A_TURN = Range("0 to 0.5", lambda value: 0 <= value <= 0.5)
SEED = Range("0 to 4294967295", lambda value: 0 <= value < 2**32)
S2_LEVEL = Range("0 to 30, a level of S2", lambda value: 0 <= value <= 30)
ALL_OR_FROM_0 = Range("-1 (all), 0 or more", lambda value: value >= -1)
REST_OR_FROM_1 = Range(
    "-1 (the remaining devices), 1 or more", lambda value: value == -1 or value >= 1
)

# Keys without "config." in front; where a key is a tuple, of each of its values.
RANGES = {
    ANY: "system.visual.preprocessing.mean",
    SEED: "seed data.seed system.rotation_seed",
    ABOVE_0: (
        "augmentation.crop_ratio optimizer.learning_rate system.gate_weight system.initial_spread_km "
        "system.initial_temperature system.location.sigmas system.spread_degrees "
        "system.visual.norm_epsilon system.visual.preprocessing.deviation"
    ),
    FROM_0: (
        "augmentation.brightness augmentation.contrast augmentation.saturation data.photos data.size "
        "evaluation.bootstrap_samples geocells.min_images geocells.relative_to optimizer.clip_norm "
        "optimizer.warmup_steps optimizer.weight_decay system.batch_noise_metres "
        "system.decoder.separate_layers system.distance_power system.level_weights system.min_images "
        "system.min_intersection_images system.queue system.queue_noise_metres system.relative_to "
        "system.scene_weight system.scenes system.visual.projection system.visual.registers "
        "training.epochs training.evaluate_every training.patience training.steps"
    ),
    FROM_1: (
        "data.prefetch data.threads evaluation.batch_size evaluation.calibration_grid evaluation.crops "
        "evaluation.decision_points evaluation.top_k geocells.max_images geocells.planned_cells "
        "system.attention_width system.decoder.heads system.decoder.mlp_width "
        "system.decoder.shared_layers system.decoder.width system.embedding_width system.fusion.blocks "
        "system.fusion.heads system.fusion.latents system.fusion.mlp_ratio system.fusion.rank "
        "system.fusion.semantic_subgrid system.gallery_block system.gallery_places system.head.hidden "
        "system.head.width system.location.frequencies system.location.hidden system.location.width "
        "system.max_images system.neighbours system.semantic_classes system.semantic_subgrid "
        "system.table_row_multiple system.visual.patch system.visual.preprocessing.image_size "
        "system.visual.preprocessing.resize_ratio system.visual.window training.accumulation "
        "training.batch_size training.checkpoint_every training.keep training.log_every"
    ),
    FROM_0_TO_BELOW_1: (
        "optimizer.b1 optimizer.b2 system.attention_dropout system.decoder.dropout system.fusion.dropout "
        "system.label_smoothing system.visual.dropout training.average_decay"
    ),
    BETWEEN_0_AND_1: "evaluation.calibration_floor",
    FROM_0_TO_1: "augmentation.crop_scale augmentation.grayscale data.max_bad_fraction",
    HALF_A_TURN: "augmentation.hue",
    S2_LEVEL: "geocells.max_level geocells.min_level system.min_level",
    ALL_OR_FROM_0: "system.visual.trained_blocks system.visual.trained_stages",
    REST_OR_FROM_1: "mesh.data mesh.fsdp mesh.model",
}


@functools.cache
def _by_key() -> dict[str, Range]:
    return {key: allowed for allowed, keys in RANGES.items() for key in keys.split()}


def has_range(key: str) -> bool:
    """Return whether `RANGES` says which numbers a key may have."""
    return _plain(key) in _by_key()


def check_range(key: str, value: float) -> None:
    """Checks a number.

    Args:
        key: its place in the config, `config.optimizer.learning_rate` or `config.geocells.max_images[2]`.
        value: the number.

    Raises:
        ConfigError: it is not finite, or not in the range of its key; one line.
    """
    allowed = _by_key().get(_plain(key), ANY)
    if not math.isfinite(value) or not allowed.holds(value):
        raise ConfigError(f"{key}={value}: expected {allowed.expected}")


def _plain(key: str) -> str:
    return key.removeprefix("config.").partition("[")[0]
