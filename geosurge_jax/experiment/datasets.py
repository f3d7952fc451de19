"""From `config.data` to a dataset on disk, opened and checked."""

import os
from pathlib import Path

from geosurge_jax.dataset.manifest import MANIFEST_FILE, file_sha256
from geosurge_jax.dataset.reader import Dataset, Split, open_dataset
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.experiment_config import DataConfig
from geosurge_jax.experiment.paths import local_path
from geosurge_jax.importing import folder
from geosurge_jax.synthetic_earth import dataset as planet
from geosurge_jax.training import processes

DATASETS = ("planet", "folder", "prepared")


def prepare(config: DataConfig) -> Path:
    """Makes the run's dataset where it is not there yet; of several processes the first does it.

    Returns:
        The dataset's directory.

    Raises:
        ValueError: one line that names what is missing or wrong, and the key; also where a process does
            not see the dataset of process 0, or sees another.
    """
    directory = Path(
        processes.from_first("dataset", lambda: os.fspath(_prepare(config).absolute()))
    )
    manifest = directory / MANIFEST_FILE
    processes.check_alike(
        "manifest",
        file_sha256(manifest) if manifest.is_file() else "",
        f"{manifest}: missing, or another than that of process 0; expected config.data.directory and "
        "config.data.source on storage that all hosts see, or the same copy under the same path on each",
    )
    return directory


def _prepare(config: DataConfig) -> Path:
    """Makes the run's dataset where it is not there yet.

    Returns:
        The dataset's directory.

    Raises:
        ValueError: one line that names what is missing or wrong, and the key.
    """
    data_directory = local_path("config.data.directory", config.directory)
    if config.dataset == "planet":
        # One folder for each kind of planet, so that a small one for a try never blocks the large one.
        home = data_directory / f"planet-{config.photos}x{config.size}-seed{config.seed}"
        return planet.prepare(home, photos=config.photos, size=config.size, seed=config.seed)
    if config.dataset not in DATASETS:
        raise ConfigError(f"config.data.dataset={config.dataset!r}: expected one of {DATASETS}")
    source = local_path("config.data.source", config.source)
    if not config.source or not source.is_dir():
        raise ConfigError(
            f"config.data.source={config.source!r}: expected "
            + (
                "a folder of photos"
                if config.dataset == "folder"
                else "a prepared dataset directory; `python -m data.folder --help` says how to make one"
            )
        )
    if config.dataset == "prepared":
        return source
    return folder.prepare(data_directory / source.resolve().name, source)


def open_named(name: str, own: Dataset) -> tuple[str, Split]:
    """Opens an entry of `config.evaluation.datasets`.

    Args:
        name: "SPLIT" of the run's own dataset, or "DIRECTORY:SPLIT".
        own: the run's own dataset.

    Returns:
        A title for tables, and the split.

    Raises:
        ConfigError: no such split.
    """
    directory, _, split = name.rpartition(":")
    dataset = open_dataset(Path(directory)) if directory else own
    if split not in dataset.manifest.splits:
        raise ConfigError(
            f"config.evaluation.datasets: {name!r}: expected one of the splits "
            f"{sorted(dataset.manifest.splits)} of {os.fspath(dataset.directory)}"
        )
    return f"{dataset.manifest.name}/{split}", dataset.split(split)
