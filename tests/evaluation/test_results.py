"""scores.json: stable bytes and every number, of the system, of each decision and of the floors."""

import json

import jax
import numpy as np
import pytest

from geosurge_jax.evaluation.calibration import (
    EqualAreaGrid,
    PhotoCalibration,
    summarize_calibration,
)
from geosurge_jax.evaluation.errors import PhotoErrors
from geosurge_jax.evaluation.metrics import RADII_KM, summarize
from geosurge_jax.evaluation.results import Results, Scored, write_results
from geosurge_jax.evaluation.tables import accuracy_table, calibration_table, decision_table


@pytest.fixture(scope="module")
def results():
    rng = np.random.default_rng(0)
    truth = rng.uniform([-60, -180], [75, 180], (60, 2))

    def summary(spread):
        prediction = np.clip(truth + rng.normal(size=(60, 2)) * spread, [-90, -180], [90, 180])
        return summarize(PhotoErrors(np.arange(60), truth, prediction), bootstrap_samples=20)

    arrays = jax.tree.unflatten(
        jax.tree.structure(PhotoCalibration(*range(6))),
        list(rng.random((6, 60)).astype(np.float32)),
    )
    calibration = summarize_calibration(arrays, EqualAreaGrid(9, 18), 0.01, 20, 0)
    system = Scored({"geoscore": summary(0.5), "top": summary(1.0)}, calibration)
    floors = {
        "random": Scored({"geoscore": summary(90)}, None),
        "training density": Scored({"geoscore": summary(20), "top": summary(30)}, calibration),
    }
    return Results(system, floors)


def test_json_has_stable_bytes_and_every_number(tmp_path, results):
    for name in ("a", "b"):
        write_results(tmp_path / f"{name}.json", {"test": results})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]
    stored = json.loads((tmp_path / "a.json").read_text())["test"]
    assert stored["protocol"] == "sphere_6371" and stored["comparison"] == "<="
    assert stored["radii_km"] == list(RADII_KM) and stored["scores"]["count"] == 60
    accuracy = stored["scores"]["accuracy"][2]
    assert accuracy["value"] == results.system.summary.scores.accuracy[2].value
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert sum(row["count"] for row in stored["continents"].values()) == 60
    assert (
        stored["decision"] == "geoscore"
        and stored["decisions"]["geoscore"]["scores"] == (stored["scores"])
    )
    assert stored["decisions"]["top"]["scores"] != stored["scores"]
    calibration = stored["calibration"]
    assert calibration["log_likelihood"]["value"] == (
        results.system.calibration.log_likelihood.value
    )
    assert len(calibration["bins"]) == 15
    assert stored["floors"]["random"]["calibration"] is None
    assert set(stored["floors"]["training density"]["decisions"]) == {"geoscore", "top"}


def test_tables_show_floors_decisions_and_calibration(results):
    accuracy = accuracy_table({"test": results})
    assert [row[0] for row in accuracy.rows] == ["test", "— random", "— training density"]
    assert "Answers by the decision geoscore." in accuracy.notes
    decisions = decision_table(results)
    names = ["geoscore", "— training density", "top", "— training density"]
    assert [row[0] for row in decisions.rows] == names
    assert decisions.rows[0][1:] == accuracy.rows[0][1:] != decisions.rows[2][1:]
    calibration = calibration_table({"test": results})
    assert [row[0] for row in calibration.rows] == ["test", "— training density"]
    shown = results.system.calibration
    assert calibration.rows[0][3:5] == (
        f"{100 * shown.top_hit:.1f}",
        f"{100 * shown.calibration_error:.1f}",
    )
    assert "162 cells of 3,148,546 km²" in calibration.notes[0]
    with pytest.raises(ValueError, match="no calibration"):
        calibration_table({"test": Results(Scored(results.system.answers, None))})
