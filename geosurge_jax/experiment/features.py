"""`--mode=features`: a frozen image tower looks at every photo once; what it made of them becomes a dataset.

A head is then trained on that dataset without the tower's cost, and the model that comes of it takes photos
as any other: its tower is in it.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from geosurge_jax.dataset.manifest import MANIFEST_FILE, file_sha256
from geosurge_jax.dataset.record import NO_SCENES
from geosurge_jax.dataset.rewriting import Rewrite
from geosurge_jax.dataset.shards import StoredRecord
from geosurge_jax.experiment import assembly, terminal
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.experiment_config import ExperimentConfig, parse
from geosurge_jax.experiment.feature_columns import frozen_tower, made_of, weights_fingerprint
from geosurge_jax.experiment.geography import make_geography
from geosurge_jax.experiment.initialize import load_towers, open_weights
from geosurge_jax.experiment.workdir import check_writable
from geosurge_jax.input.examples import DecodedRecord, evaluation_views
from geosurge_jax.input.geometry import Framing
from geosurge_jax.input.images import ImageDecodeError, decode_class_map, decode_image
from geosurge_jax.input.plain_png import write_plain_png
from geosurge_jax.models.tower import Features, TowerConfig
from geosurge_jax.models.towers import make_tower
from geosurge_jax.systems.contract import Params
from geosurge_jax.threads import batches_ahead
from geosurge_jax.training.mesh import MeshConfig, put_batch
from geosurge_jax.training.state import plan_parameters

FOLDER = "features"
MAKER = 1
"""Raised when the same tower and photos would give other features."""

Look = Callable[[np.ndarray], Features]
"""Photos uint8 [B, H, W, 3] of a whole batch to their features on the host."""


@dataclass(frozen=True)
class NewFeatures:
    """The features that a record gets in place of its photo; see `dataset.rewritten_shard`.

    Attributes:
        columns: Their bytes by column; empty ones where the photo could not be read.
        segmentation: The class map, cut as the photo was.
        problem: Why there are none.
        claim: Nothing: photos may be alike.
    """

    columns: Mapping[str, bytes]
    segmentation: bytes
    problem: str = ""
    claim: str = ""

    @property
    def size(self) -> int:
        """Bytes of the features."""
        return sum(len(content) for content in self.columns.values())

    def put_into(self, record: StoredRecord) -> bytes:
        """The record with features in place of its photo."""
        return record.with_features(self.columns, self.segmentation)


@dataclass(frozen=True)
class FeatureMaker:
    """Records of a shard -> their features, photos decoded ahead of the tower in threads.

    Attributes:
        look: The tower.
        columns: Which of its answers are kept.
        framing: How it wants photos.
        batch_size: Photos that it is given at a time.
        threads: Photos decoded at a time.
    """

    look: Look
    columns: Sequence[str]
    framing: Framing
    batch_size: int
    threads: int

    def __call__(self, records: Iterator[StoredRecord]) -> Iterator[NewFeatures]:
        """The features of each record, in order."""
        with ThreadPoolExecutor(self.threads) as pool:
            for views in batches_ahead(self._view, records, self.batch_size, pool):
                yield from self._features(views)

    def _view(self, record: StoredRecord) -> "_View | str":
        try:
            pixels = decode_image(record.image)
            class_map = decode_class_map(record.segmentation)
        except ImageDecodeError as error:
            return f"unreadable photo: {error}"
        decoded = DecodedRecord(pixels, class_map, (0.0, 0.0), NO_SCENES)
        image, classes = evaluation_views(decoded, 1, self.framing)
        return image[0], write_plain_png(classes[0])

    def _features(self, views: Sequence["_View | str"]) -> Iterator[NewFeatures]:
        size = self.framing.size
        batch = np.zeros((self.batch_size, size, size, 3), np.uint8)
        for row, view in enumerate(views):
            if not isinstance(view, str):
                batch[row] = view[0]
        made = vars(self.look(batch))
        blank = write_plain_png(np.zeros((1, 1), np.uint8))
        for row, view in enumerate(views):
            if isinstance(view, str):
                yield NewFeatures(dict.fromkeys(self.columns, b""), blank, view)
            else:
                kept = {name: made[name][row].tobytes() for name in self.columns}
                yield NewFeatures(kept, view[1])


_View = tuple[np.ndarray, bytes]


def run(raw: Mapping[str, Any], root: Path) -> None:
    """Writes the features of the config's dataset under `features/` in the workdir.

    Of several processes each does a part of the shards. Interrupted, it goes on where it is started again.

    Args:
        raw: the config file's mapping; `init_from` names the tower's weights.
        root: the workdir.

    Raises:
        ValueError: one line that names what is missing or wrong.
    """
    # Other processes have other shards, and nothing to tell this one.
    config = dataclasses.replace(parse(raw), mesh=MeshConfig(-1, 1, 1))
    if not config.init_from:
        raise ConfigError(
            "config.init_from='': expected the weights of the tower whose features are to be kept"
        )
    check_writable(root)
    dataset = assembly.open_run_dataset(config)
    dataset.check_photos("config.data.source")
    geography = make_geography(config, dataset.split("train").latlng)
    model = assembly.make_model(config, geography, jax.local_devices())
    with jax.set_mesh(model.mesh):
        look, tower, weights = load_tower(config, model)
        size = tower.preprocessing.image_size
        shapes = look(np.zeros((config.evaluation.batch_size, size, size, 3), np.uint8))
        columns = made_of(shapes, tower, weights, tokens=model.system.reads_tokens)
        old = dataset.manifest
        rewrite = Rewrite(
            dataset=dataset,
            out=root.resolve() / FOLDER,
            name=f"{old.name}_features",
            classes=old.segmentation_classes,
            source={
                "dataset": {
                    "name": old.name,
                    "version": old.version,
                    "manifest": file_sha256(dataset.directory / MANIFEST_FILE),
                },
                "features": {**dataclasses.asdict(columns), "maker": MAKER},
            },
            features=columns,
            process=jax.process_index(),
            processes=jax.process_count(),
        )
        maker = FeatureMaker(
            look=look,
            columns=tuple(columns.shapes),
            framing=tower.preprocessing.framing,
            batch_size=config.evaluation.batch_size,
            threads=config.data.threads,
        )
        result = rewrite.run(maker, f"looking at {old.name}")
    done = f"{result.counts.made:,} photos" if result.counts.made else "already there"
    lost = sum(result.counts.without.values())
    terminal.say(
        f"{result.directory}: {done}{f', {lost:,} unreadable' if lost else ''}"
        + ("" if result.finished else "; other processes have shards to write")
        + "\ntrain on it with --config.data.dataset=prepared "
        f"--config.data.source={result.directory} --config.evaluation.crops=1"
    )


def load_tower(config: ExperimentConfig, model: assembly.Model) -> tuple[Look, TowerConfig, str]:
    """The config's frozen tower with the weights of `config.init_from`.

    Returns:
        The tower as a function, its choices, and the fingerprint of its weights.

    Raises:
        ValueError: there is no such tower, or its weights are not as they should be.
    """
    weights = open_weights(config.init_from, model.system)
    assert weights is not None  # as init_from is not empty
    shapes = plan_parameters(model.system, model.mesh).abstract
    path, tower = frozen_tower(model.system, shapes)
    params = load_towers(weights, shapes)[path]
    module = make_tower(tower, jnp.dtype(config.system.compute_dtype))
    replicated = NamedSharding(model.mesh, PartitionSpec())

    def apply(params: Params, image: jax.Array) -> Any:
        return module.apply({"params": params}, image, train=False)

    jitted = jax.jit(apply, out_shardings=replicated)

    def look(image: np.ndarray) -> Features:
        return jax.device_get(jitted(params, put_batch(model.mesh, {"image": image})["image"]))

    return look, tower, weights_fingerprint(params)
