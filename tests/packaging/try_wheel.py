"""Installs the built wheel into an empty environment outside of the repository and predicts with it there.

    python -m tests.packaging.try_wheel dist

Started by `make package`, in the development environment. It makes a tiny exported model, and an image.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
from PIL import Image

from configs import geoclip
from geosurge_jax.experiment import export
from tests.experiment.fresh import checkpoint

CHECK = """
import importlib.util, sys
import geosurge_jax
assert "site-packages" in geosurge_jax.__file__, geosurge_jax.__file__
for name in ("data", "configs", "tests", "benchmarks"):
    assert importlib.util.find_spec(name) is None, name
from geosurge_jax import Predictor
prediction = Predictor.from_pretrained("model", cache_dir="cache").predict("image.jpg")
assert abs(prediction.latlng[0]) <= 90 and prediction.warnings, prediction
print(prediction)
"""


def only(folder: Path, pattern: str) -> Path:
    """Returns the one file of a pattern."""
    (found,) = folder.glob(pattern)
    return found


def run(command: list[str], place: Path) -> str:
    """Runs a command in a folder, without this repository on Python's path; returns what it printed."""
    environment = {n: v for n, v in os.environ.items() if n not in ("PYTHONPATH", "XLA_FLAGS")}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main(dist: Path) -> None:
    """Installs, checks, predicts by Python and by the command."""
    wheel = only(dist, "*.whl").resolve()
    only(dist, "*.tar.gz")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        raw = geoclip.get_config("tiny").to_dict()
        workdir, *_ = checkpoint(place, raw)
        export.run(raw, workdir.root, "float32", ("safetensors",))
        workdir.export.rename(place / "model")
        pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(place / "image.jpg")
        began = time.monotonic()
        venv.create(place / "venv", with_pip=True)
        binaries = place / "venv" / "bin"
        run([f"{binaries}/pip", "install", "-q", "--disable-pip-version-check", str(wheel)], place)
        print(f"installed {wheel.name} in {time.monotonic() - began:.0f} s")
        print(run([f"{binaries}/python", "-c", CHECK], place))
        print(run([f"{binaries}/geosurge", "--version"], place))
        rows = run(
            [
                f"{binaries}/geosurge",
                "predict",
                "image.jpg",
                "--model",
                "model",
                "--format",
                "jsonl",
            ],
            place,
        )
        found = json.loads(rows.splitlines()[0])
        assert found["image"] == "image.jpg" and abs(found["latitude"]) <= 90, found
        print(rows.strip()[:300])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
