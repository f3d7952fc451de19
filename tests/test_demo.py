"""What `make demo` promises, on the real demo config. Slow: minutes on two cores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.evaluation.chance import training_density_chance

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_demo_beats_chance_tenfold_at_200_km_and_reaches_60_percent_at_2500_km(tmp_path):
    environment = {**os.environ, "XLA_FLAGS": ""}
    subprocess.run(
        [
            sys.executable,
            "run.py",
            "--config=configs/geosurge.py:demo",
            f"--config.data.directory={tmp_path / 'datasets'}",
            f"--workdir={tmp_path / 'demo'}",
        ],
        cwd=ROOT,
        env=environment,
        check=True,
    )
    dataset = open_dataset(next((tmp_path / "datasets").glob("*/planet/2.0.0")))
    chance = training_density_chance(dataset.split("train").latlng, dataset.split("test").latlng)
    scores = json.loads((tmp_path / "demo" / "scores.json").read_text())["planet/test"]["scores"]
    accuracy = dict(zip(chance.radii_km, (e["value"] for e in scores["accuracy"]), strict=True))
    expected = dict(zip(chance.radii_km, chance.accuracy, strict=True))
    assert scores["count"] == len(dataset.split("test"))
    assert accuracy[200.0] >= 10 * expected[200.0]
    assert accuracy[2500.0] >= 0.60
    assert np.all(np.diff([accuracy[r] for r in sorted(accuracy)]) >= 0)
