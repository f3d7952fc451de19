"""Datasets of features: of which tower they are, and whether a model may take them for photos."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from geosurge_jax.dataset.manifest import FeatureColumns
from geosurge_jax.dataset.reader import Split
from geosurge_jax.experiment.config_types import ConfigError, flat_items
from geosurge_jax.models.tower import Features, TowerConfig
from geosurge_jax.systems.contract import Params, System
from geosurge_jax.training.fingerprint import fingerprints
from geosurge_jax.training.parameters import flatten, split_frozen

TOWER_KEY = "config.system.visual"

# How a tower is trained does not change what it makes of a photo when it is not.
_OF_TRAINING = ("trained_blocks", "trained_stages", "remat", "dropout")


def with_photos(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A host batch as the systems want it: stored features, where it holds any, are its `image`."""
    if "pooled" not in batch:
        return dict(batch)
    rest = {name: value for name, value in batch.items() if name not in ("pooled", "tokens")}
    pooled = batch["pooled"]
    # Without tokens an empty grid: a system that reads them is refused by `check_features`.
    tokens = batch["tokens"] if "tokens" in batch else pooled[..., None, :][..., :0, :]
    return {**rest, "image": Features(pooled, tokens)}


def frozen_tower(system: System, shapes: Params) -> tuple[str, TowerConfig]:
    """Path and choices of the tower whose features can stand in for photos.

    Args:
        system: the system.
        shapes: of its parameters.

    Raises:
        ConfigError: there are several towers, or parts of the one are trained.
    """
    if len(system.towers) > 1 or not system.takes_features:
        raise ConfigError(
            f"config.system_name={system.name!r}: expected a system with one image encoder "
            f"that shares nothing with others before its end, where features stand in for images; this one "
            f"has {len(system.towers)}"
        )
    (path, tower), *_ = system.towers.items()
    trained, _ = split_frozen(shapes, system.frozen_rules)
    if path in trained:
        moved = next(iter(flatten(trained[path])))
        raise ConfigError(
            f"{TOWER_KEY}: expected a tower that is frozen as a whole (trained_blocks or trained_stages 0), "
            f"where features stand in for photos; {moved} is trained"
        )
    return path, tower


def description(tower: TowerConfig) -> Any:
    """JSON value: what a tower is and what it expects of photos."""
    own: Any = dataclasses.asdict(tower)  # pyright: ignore[reportArgumentType]
    return json.loads(json.dumps({k: v for k, v in own.items() if k not in _OF_TRAINING}))


def weights_fingerprint(params: Params) -> str:
    """Hexadecimal fingerprint of a tower's parameters, the same on every mesh."""
    listed = json.dumps(sorted(fingerprints(params).items()))
    return hashlib.sha256(listed.encode()).hexdigest()


def check_features(system: System, params: Params, split: Split) -> None:
    """Refuses a split of features that are not what the model's own tower makes of photos.

    Args:
        system: the model.
        params: its parameters, on the devices.
        split: of any dataset.

    Raises:
        ConfigError: the system has no tower that is frozen as a whole; or the features are another tower's,
            of another type, or without the tokens that the system reads.
    """
    stored = split.features
    if stored is None:
        return
    path, tower = frozen_tower(system, params)
    wanted, found = flat_items(description(tower), ""), flat_items(stored.tower, "")
    different = [
        f"{TOWER_KEY}{name}: {wanted.get(name, '(absent)')!r} -> {found.get(name, '(absent)')!r}"
        for name in sorted({*wanted, *found})
        if wanted.get(name, "(absent)") != found.get(name, "(absent)")
    ]
    where = f"config.data.source: the features of split {split.name}"
    if different:
        raise ConfigError(
            f"{where} are of another tower (config -> dataset): {'; '.join(different)}"
        )
    if system.reads_tokens and stored.tokens is None:
        raise ConfigError(
            f"{where} are vectors alone, but {system.name} as it is configured reads the tokens; expected "
            "features that were made by --mode=features with this config"
        )
    if weights_fingerprint(params[path]) != stored.weights:
        raise ConfigError(
            f"{where} were made with other weights than the model's tower has; expected those of "
            "config.init_from"
        )


def made_of(
    features: Features, tower: TowerConfig, weights: str, *, tokens: bool
) -> FeatureColumns:
    """What a dataset says of features.

    Args:
        features: shapes `[B, ...]` or arrays of a batch of them.
        tower: what made them.
        weights: fingerprint of its parameters.
        tokens: whether the grid of tokens is kept.
    """
    _, patches, width = features.tokens.shape
    return FeatureColumns(
        dtype=np.dtype(features.pooled.dtype).name,
        pooled=features.pooled.shape[1],
        tokens=(patches, width) if tokens else None,
        image_size=tower.preprocessing.image_size,
        tower=description(tower),
        weights=weights,
    )
