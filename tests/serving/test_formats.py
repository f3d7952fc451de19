import csv
import html
import io
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from geosurge_jax.serving.formats import FORMATS, write_file, write_outcomes
from geosurge_jax.serving.prediction import FailedPrediction
from tests.serving.made_up import PROBABILITY, SUPPORT, prediction

BY_RANK = [1, 0, 2]
BETWEEN = (10.5, -20.25)
KML = "{http://www.opengis.net/kml/2.2}"


def written(name, *outcomes, k=2):
    file = io.StringIO(newline="")
    write_outcomes(name, outcomes, k, file)
    return file.getvalue()


def csv_rows(*outcomes, k=2):
    return list(csv.DictReader(io.StringIO(written("csv", *outcomes, k=k), newline="")))


def test_csv_holds_every_candidate_by_rank():
    rows = csv_rows(prediction(warnings=("one", "two")), k=3)
    header = "image,rank,latitude,longitude,probability,place,error,warnings"
    assert ",".join(rows[0]) == header
    assert [row["rank"] for row in rows] == ["1", "2", "3"] and rows[0]["image"] == "a, b.jpg"
    found = [[float(row["latitude"]), float(row["longitude"])] for row in rows]
    np.testing.assert_allclose(found, SUPPORT[BY_RANK], atol=1e-6)
    chance = [float(row["probability"]) for row in rows]
    np.testing.assert_allclose(chance, PROBABILITY[BY_RANK], rtol=1e-5)
    assert rows[0]["warnings"] == "one; two" and rows[0]["error"] == ""


def test_an_answer_that_is_not_the_most_likely_point_comes_first_as_rank_0():
    rows = csv_rows(prediction(latlng=BETWEEN, decision="distance"))
    assert [row["rank"] for row in rows] == ["0", "1", "2"]
    assert (rows[0]["latitude"], rows[0]["longitude"]) == ("10.5", "-20.25")
    assert rows[0]["probability"] == ""
    features = json.loads(written("geojson", prediction(latlng=BETWEEN)))["features"]
    assert features[0]["geometry"] == {"type": "Point", "coordinates": [-20.25, 10.5]}
    assert [one["properties"]["rank"] for one in features] == [0, 1, 2]


def test_a_failure_is_one_row_without_coordinates_in_every_format():
    failed = FailedPrediction("x.jpg", "x.jpg: not an image")
    (row,) = csv_rows(failed)
    assert row == dict.fromkeys(row, "") | {"image": "x.jpg", "error": "x.jpg: not an image"}
    assert json.loads(written("jsonl", failed)) == {"image": "x.jpg", "error": failed.error}
    (feature,) = json.loads(written("geojson", failed))["features"]
    assert feature["geometry"] is None and feature["properties"]["error"] == failed.error
    (placemark,) = ElementTree.fromstring(written("kml", failed)).iter(f"{KML}Placemark")
    assert placemark.find(f"{KML}Point") is None
    assert failed.error in placemark.findtext(f"{KML}description")
    assert "error: not an image" in written("table", failed)
    assert "calibrated" not in written("table", failed)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("-5", "-5"),
        ("+1.5e3", "+1.5e3"),
        ("-inf", "'-inf"),
        ("a=1.jpg", "a=1.jpg"),
    ],
)
def test_no_cell_is_a_formula(name, cell):
    assert csv_rows(prediction(name))[0]["image"] == cell
    assert csv_rows(FailedPrediction(name, name))[0]["error"] == cell


HOSTILE = "a\x00\x1b[31m\udcff\ud800<&>]]>\"'\ufffe\n\u00e9.jpg"


@pytest.mark.parametrize("name", FORMATS)
def test_any_name_can_be_written_and_read(name, tmp_path):
    path = tmp_path / "out"
    one = prediction(HOSTILE, warnings=(HOSTILE,))
    write_file(name, [one.to_dict(2), FailedPrediction(HOSTILE, HOSTILE).to_dict()], path)
    text = path.read_bytes().decode()
    assert "\x1b" not in text or name == "csv"
    if name == "csv":
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(rows) == 3 and "\\ud800<&>" in rows[2]["error"]
    elif name == "jsonl":
        assert [json.loads(line)["image"] for line in text.splitlines()] == [HOSTILE] * 2
    elif name == "geojson":
        assert json.loads(text)["features"][2]["properties"]["image"] == HOSTILE
    elif name == "kml":
        marks = list(ElementTree.fromstring(text.encode()).iter(f"{KML}Placemark"))
        names = [one.findtext(f"{KML}name") for one in marks]
        expected = r"""a\x00\x1b[31m\udcff\ud800<&>]]>"'\ufffe\né.jpg"""
        assert names == [expected] * 2
        warning = marks[0].findtext(f"{KML}description").split("<br/>\n")[-1]
        assert html.unescape(warning) == f"warning: {expected}"


def test_kml_puts_longitude_first_and_tells_candidates_and_warnings():
    root = ElementTree.fromstring(written("kml", prediction(warnings=("trained on toys",))))
    (placemark,) = root.iter(f"{KML}Placemark")
    coordinates = placemark.findtext(f"{KML}Point/{KML}coordinates")
    np.testing.assert_allclose([float(x) for x in coordinates.split(",")], SUPPORT[1, ::-1], 1e-6)
    lines = placemark.findtext(f"{KML}description").split("<br/>\n")
    assert lines[0].startswith("1. -33.90000, 151.20000 (70.00%) Alexandria, New South Wales")
    assert lines[1].startswith("2. 48.85661, 2.35222 (25.00%) Paris")
    assert lines[2:] == ["Probabilities are not calibrated.", "warning: trained on toys"]


def test_a_table_is_aligned_text_where_there_is_no_terminal():
    many = [prediction(f"{number}.jpg", warnings=("toys",)) for number in range(120)]
    lines = written("table", *many, k=1).splitlines()
    assert lines[0].split() == ["image", "rank", "latitude", "longitude", "probability", "place"]
    assert lines[1].split()[:5] == ["0.jpg", "1", "-33.9000", "151.2000", "70.00%"]
    assert len(lines) == 1 + 120 + 2 and lines[-1] == "warning: toys (120 images)"
    assert len({line.index("-33.9") for line in lines[1:101]}) == 1


def test_a_terminal_gets_a_drawn_table_in_which_names_are_no_markup():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    file = Terminal()
    write_outcomes("table", [prediction("[bold]x.jpg")], 1, file)
    assert "[bold]x.jpg" in file.getvalue() and "┃" in file.getvalue()


@pytest.mark.parametrize("name", ["csv", "jsonl", "geojson", "kml"])
def test_writers_hold_one_image_at_a_time(name):
    file, seen = io.StringIO(newline=""), []

    def outcomes():
        for number in range(3):
            yield prediction(f"{number}.jpg")
            seen.append(f"{number}.jpg" in file.getvalue())

    write_outcomes(name, outcomes(), 1, file)
    assert seen == [True] * 3


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("before")

    def broken():
        yield prediction().to_dict(1)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_file("csv", broken(), path)
    assert path.read_text() == "before" and [*tmp_path.iterdir()] == [path]
