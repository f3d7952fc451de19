import csv
import dataclasses
import json

import numpy as np

from geosurge_jax.serving.outputs import Prediction, write_csv, write_geojson

PREDICTIONS = [
    Prediction(
        "a, b.jpg",
        np.array([[48.85661, 2.35222], [-33.9, 151.2]], np.float32),
        np.log(np.array([0.75, 0.25], np.float32)),
    )
]


def test_csv_holds_every_place_by_rank(tmp_path):
    write_csv(tmp_path / "p.csv", PREDICTIONS, "file")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2"] and rows[0]["file"] == "a, b.jpg"
    np.testing.assert_allclose(float(rows[0]["latitude"]), 48.85661, atol=1e-5)
    np.testing.assert_allclose([float(row["probability"]) for row in rows], [0.75, 0.25], rtol=1e-5)


def test_geojson_puts_longitude_first(tmp_path):
    write_geojson(tmp_path / "p.geojson", PREDICTIONS, "file")
    features = json.loads((tmp_path / "p.geojson").read_text())["features"]
    np.testing.assert_allclose(features[1]["geometry"]["coordinates"], [151.2, -33.9], atol=1e-5)
    assert features[1]["properties"]["rank"] == 2


def test_an_answer_that_is_not_the_likeliest_place_comes_first(tmp_path):
    decided = [dataclasses.replace(PREDICTIONS[0], answer=np.array([10.5, -20.25], np.float32))]
    write_csv(tmp_path / "p.csv", decided, "file")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["0", "1", "2"]
    assert (rows[0]["latitude"], rows[0]["probability"]) == ("10.5", "")
    write_geojson(tmp_path / "p.geojson", decided, "file")
    first = json.loads((tmp_path / "p.geojson").read_text())["features"][0]
    assert first["geometry"]["coordinates"] == [-20.25, 10.5]
    assert first["properties"] == {"file": "a, b.jpg", "rank": 0, "probability": None}
