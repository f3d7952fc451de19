"""Paths that a user gives: made local, and checked before anything is computed."""

import tempfile
from pathlib import Path

from geosurge_jax.experiment.config_types import ConfigError

GLOB_CHARACTERS = "[]*?"


def check_writable(root: Path) -> None:
    """Checks that files can be written in `root`, existing or not, and read back; leaves no file.

    Args:
        root: absolute path.

    Raises:
        ConfigError: they cannot.
    """
    special = [character for character in GLOB_CHARACTERS if character in str(root)]
    if special:
        raise ConfigError(
            f"--workdir={root}: expected a path without {' '.join(special)}, which Orbax takes for a "
            "pattern, so that checkpoints there cannot be read"
        )
    existing = next(path for path in (root, *root.parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        raise ConfigError(
            f"--workdir={root}: cannot write in {existing} ({error.strerror})"
        ) from error


def local_path(key: str, value: str) -> Path:
    """Return the path given by a flag or a config key; a leading `~` is the home folder.

    Raises:
        ConfigError: a URL, which only a mount makes a path, or the home of an unknown user.
    """
    if "://" in value:
        raise ConfigError(
            f"{key}={value}: expected a directory; mount the bucket (gcsfuse, mount-s3) on all hosts and "
            "give the mount point"
        )
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ConfigError(f"{key}={value}: expected a user of this machine after ~") from None
