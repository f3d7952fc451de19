"""The typed form of a config file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geosurge_jax.evaluation.settings import EvaluationConfig
from geosurge_jax.experiment.config_types import ConfigError, convert, from_mapping
from geosurge_jax.input.pipeline import Augmentation
from geosurge_jax.systems import SYSTEMS
from geosurge_jax.training.mesh import MeshConfig
from geosurge_jax.training.optimizer import OptimizerConfig


@dataclass(frozen=True)
class DataConfig:
    """Where the photos come from.

    Attributes:
        dataset: "planet" (generated), "folder" (your photos) or "prepared" (a finished dataset).
        directory: where datasets are made and looked for.
        source: "folder": the folder of photos; "prepared": the dataset's directory; "planet": unused.
        photos: "planet": how many.
        size: "planet": side of a photo in pixels.
        seed: "planet": seed of the generated Earth.
        max_bad_fraction: share of unreadable records above which a run stops.
        threads: decoding threads of each process.
        prefetch: batches kept ready.
    """

    dataset: str
    directory: str
    source: str
    photos: int
    size: int
    seed: int
    max_bad_fraction: float
    threads: int
    prefetch: int


@dataclass(frozen=True)
class GeocellsConfig:
    """How the hierarchy of geocells is built from the training photos' locations.

    Attributes:
        max_images: tau_max of each level, coarse to fine (published: 25000 and 500 at the ends).
        min_images: tau_min.
        relative_to: counts above are meant for a data set of this size and scaled to the actual one;
            0 takes them as they are.
        min_level: S2 level at which splitting starts.
        max_level: S2 level at which it ends.
        drop: "below" or "at_or_below", see `geosurge_jax.geo.build_partition`.
        planned_cells: cells of each level that are expected, for planning without the data.
    """

    max_images: tuple[int, ...]
    min_images: int
    relative_to: int
    min_level: int
    max_level: int
    drop: str
    planned_cells: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where values contradict each other."""
        if not self.max_images:
            raise ValueError("config.geocells.max_images=(): expected a value for each level")
        if self.min_level > self.max_level:
            raise ValueError(
                f"config.geocells.min_level={self.min_level}: expected at most "
                f"config.geocells.max_level={self.max_level}"
            )

    def scaled(self, photos: int) -> tuple[tuple[int, ...], int]:
        """(max_images, min_images) for a data set of `photos`; never below 1, equal levels merged."""
        if not self.relative_to:
            return self.max_images, self.min_images
        share = photos / self.relative_to
        limits = dict.fromkeys(max(1, round(share * limit)) for limit in self.max_images)
        return tuple(limits), max(1, round(share * self.min_images))


@dataclass(frozen=True)
class TrainingConfig:
    """Lengths and intervals of a run.

    Attributes:
        batch_size: photos of a global batch.
        epochs: length in passes over the training split; exactly one of `epochs`, `steps` is above 0.
        steps: length in steps.
        accumulation: parts into which a batch is cut to save memory.
        average_decay: decay of the moving average of the weights; 0 for none.
        log_every: steps between lines of training metrics.
        evaluate_every: steps between evaluations on the validation split; 0 for every epoch.
        checkpoint_every: steps between checkpoints.
        keep: newest checkpoints kept, beside the best.
        watched: validation metric that decides what is best.
        minimize: whether less of it is better.
        patience: evaluations without improvement after which training stops; 0 for never.
    """

    batch_size: int
    epochs: float
    steps: int
    accumulation: int
    average_decay: float
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    keep: int
    watched: str
    minimize: bool
    patience: int

    def __post_init__(self) -> None:
        """Raises ValueError where values contradict each other."""
        if (self.epochs > 0) == (self.steps > 0):
            raise ValueError(
                f"config.training.epochs={self.epochs}, config.training.steps={self.steps}: expected "
                f"exactly one above 0"
            )
        if self.batch_size < 1 or self.batch_size % self.accumulation:
            raise ValueError(
                f"config.training.batch_size={self.batch_size}: expected a positive multiple of "
                f"config.training.accumulation={self.accumulation}"
            )

    def total_steps(self, steps_per_epoch: int) -> int:
        """Length in steps."""
        return self.steps or max(1, round(self.epochs * steps_per_epoch))


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything a run is made from.

    Attributes:
        name: for titles and logs.
        seed: of initialisation, data order and noise.
        init_from: weights that the image towers begin with: a directory in a layout of Hugging Face, or
            "hf:ORG/NAME"; empty to begin with random ones.
        deterministic: whether GPUs use only kernels that give the same bits on each run.
        data: the photos.
        geocells: the hierarchy.
        system: the system's own config, of the class its registry entry names.
        system_name: key in `SYSTEMS`.
        augmentation: noise on training photos.
        optimizer: optimiser and schedule.
        training: lengths and intervals.
        mesh: devices.
        evaluation: what is scored and how.
    """

    name: str
    seed: int
    init_from: str
    deterministic: bool
    data: DataConfig
    geocells: GeocellsConfig
    system: Any
    system_name: str
    augmentation: Augmentation
    optimizer: OptimizerConfig
    training: TrainingConfig
    mesh: MeshConfig
    evaluation: EvaluationConfig


def parse(config: Mapping[str, Any]) -> ExperimentConfig:
    """Turns a config file's mapping into its typed form.

    Raises:
        ConfigError, ValueError: one line that names the key, the value and what was expected.
    """
    expected = {
        "name", "seed", "init_from", "deterministic", "data", "geocells", "system_name", "system",
        "augmentation", "optimizer", "training", "mesh", "evaluation",
    }  # fmt: skip
    if "experiments" in config:
        raise ConfigError(
            "config: a league, which --mode=train alone knows; give the config of one of its experiments"
        )
    if set(config) != expected:
        raise ConfigError(
            f"config: unknown keys {sorted(set(config) - expected)}, missing keys "
            f"{sorted(expected - set(config))}"
        )
    system_name = config["system_name"]
    if system_name not in SYSTEMS:
        raise ConfigError(f"config.system_name={system_name!r}: expected one of {sorted(SYSTEMS)}")
    return ExperimentConfig(
        name=convert(str, config["name"], "config.name"),
        seed=convert(int, config["seed"], "config.seed"),
        init_from=convert(str, config["init_from"], "config.init_from"),
        deterministic=convert(bool, config["deterministic"], "config.deterministic"),
        data=from_mapping(DataConfig, config["data"], "config.data"),
        geocells=from_mapping(GeocellsConfig, config["geocells"], "config.geocells"),
        system=from_mapping(SYSTEMS[system_name].config, config["system"], "config.system"),
        system_name=system_name,
        augmentation=from_mapping(Augmentation, config["augmentation"], "config.augmentation"),
        optimizer=from_mapping(OptimizerConfig, config["optimizer"], "config.optimizer"),
        training=from_mapping(TrainingConfig, config["training"], "config.training"),
        mesh=from_mapping(MeshConfig, config["mesh"], "config.mesh"),
        evaluation=from_mapping(EvaluationConfig, config["evaluation"], "config.evaluation"),
    )
