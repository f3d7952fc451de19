"""Flags for run.py that make a run of `geosurge.py:tiny` begin with a small CLIP of transformers."""

from pathlib import Path

from tests.parity.oracle import thaw


def weights_of_clip(folder: Path) -> Path:
    """Its directory in a folder, written where it is not there yet."""
    directory = folder / "clip"
    return directory if directory.exists() else thaw("clip").write_directory(directory)


def begin_with_clip(folder: Path) -> tuple[str, ...]:
    """Its tower is that of the config but for what it expects of photos."""
    return (
        f"--config.init_from={weights_of_clip(folder)}",
        "--config.system.visual.preprocessing.mean=(0.48, 0.46, 0.41)",
        "--config.system.visual.preprocessing.deviation=(0.27, 0.26, 0.28)",
    )
