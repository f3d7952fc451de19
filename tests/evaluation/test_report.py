"""Tables, pictures and the report: what stands in them, and that HTML needs nothing but itself."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from geosurge_jax import geo
from geosurge_jax.evaluation import maps
from geosurge_jax.evaluation.chance import training_density_chance
from geosurge_jax.evaluation.curves import Curve, draw_curves
from geosurge_jax.evaluation.errors import PhotoErrors
from geosurge_jax.evaluation.maps import draw_error_map, equal_earth, great_circle_lines
from geosurge_jax.evaluation.metrics import summarize
from geosurge_jax.evaluation.report import ReportData, write_report
from geosurge_jax.evaluation.results import Results, Scored
from geosurge_jax.evaluation.tables import Table, accuracy_table, continent_table, level_table

VOID = {"meta", "img", "br", "link", "input", "hr"}


@pytest.fixture(scope="module")
def errors():
    rng = np.random.default_rng(0)
    truth = rng.uniform([-50, -180], [70, 180], (80, 2))
    step = rng.normal(size=(80, 2)) * 10.0 ** rng.uniform(-2, 1, (80, 1))
    return PhotoErrors(np.arange(80), truth, np.clip(truth + step, [-90, -180], [90, 180]))


@pytest.fixture(scope="module")
def summary(errors):
    return summarize(errors, bootstrap_samples=50)


def results_of(summary, chance=None):
    return Results(Scored({"top": summary}, None), chance=chance)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_the_five_radius_table_says_how_it_was_taken(errors, summary):
    chance = training_density_chance(errors.truth, errors.truth)
    text = accuracy_table({"test": results_of(summary, chance)}).markdown()
    lines = text.splitlines()
    assert lines[0].startswith("| data set | photos | 1 km, % | 25 km, % | 200 km, % | 750 km, % |")
    estimate = summary.scores.accuracy[2]
    assert estimate.low is not None and estimate.high is not None
    cell = f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"
    assert lines[2].startswith("| test | 80 |") and f"| {cell} |" in lines[2]
    assert lines[3].startswith("| — chance |") and f"| {100 * chance.accuracy[2]:.2f} |" in lines[3]
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert "sphere of 6371.0 km (sphere_6371)" in text and "<= the radius" in text
    assert "50 bootstrap samples" in text and "all 80 training photos" in text


def test_tables_without_intervals_or_chance(errors):
    text = accuracy_table({"a": results_of(summarize(errors, bootstrap_samples=0))}).markdown()
    assert "bootstrap" not in text and "chance" not in text and "(" not in text.splitlines()[2]


def test_data_sets_measured_in_different_ways_do_not_share_a_table(errors, summary):
    other = summarize(errors, "sphere_6378_137", bootstrap_samples=50)
    with pytest.raises(ValueError, match="'other' was measured in another way"):
        accuracy_table({"test": results_of(summary), "other": results_of(other)})
    with pytest.raises(ValueError, match="no data set"):
        accuracy_table({})


def test_continent_table_has_a_row_for_each_continent(summary):
    table = continent_table(summary)
    assert [row[0] for row in table.rows] == [name for name, _ in summary.continents]
    assert sum(int(row[1]) for row in table.rows) == 80


def test_level_table():
    text = level_table({"a": (0.5, 0.25), "b": (1.0, float("nan"))}, (3, 70)).markdown()
    assert "| level 0 | 3 | 50.0 | 100.0 |" in text
    assert "| level 1 | 70 | 25.0 | – |" in text
    with pytest.raises(ValueError, match="'a' has 1 levels, the hierarchy has 2"):
        level_table({"a": (0.5,)}, (3, 70))


def test_tables_escape_what_would_break_them():
    table = Table(("a|b", "<i>"), (("x|y", "<script>"),), ("n < m",))
    assert "a\\|b" in table.markdown() and "x\\|y" in table.markdown()
    assert "<script>" not in table.html() and "&lt;script&gt;" in table.html()
    assert "n &lt; m" in table.html()


def test_equal_earth_is_equal_in_area_and_symmetric():
    """The area of a small box on the map is the same share of the map as of the sphere."""
    latlng = np.random.default_rng(0).uniform([-85, -170], [85, 170], (50, 2))
    step = 1e-4
    corners = [
        equal_earth(latlng + [north, east]) for north, east in ((0, 0), (step, 0), (0, step))
    ]
    north, east = corners[1] - corners[0], corners[2] - corners[0]
    area = np.abs(east[:, 0] * north[:, 1] - east[:, 1] * north[:, 0])
    on_sphere = np.radians(step) ** 2 * np.cos(np.radians(latlng[:, 0]))
    np.testing.assert_allclose(area / on_sphere, 1.0, rtol=1e-3)
    np.testing.assert_allclose(equal_earth(-latlng), -equal_earth(latlng))
    ends = equal_earth(np.array([[90.0, 0.0], [0.0, 180.0]]))
    np.testing.assert_allclose([ends[0, 1], ends[1, 0]], [1.3173627591574133, 2.70663], rtol=1e-5)


def test_lines_follow_the_great_circle_and_are_cut_at_the_antimeridian():
    a = np.array([[50.0, 0.0], [10.0, 170.0], [5.0, 5.0]])
    b = np.array([[50.0, 90.0], [-10.0, -170.0], [5.0, 5.0]])
    plain, cut, still = great_circle_lines(a, b)
    assert [len(line) for line in (plain, cut, still)] == [1, 2, 1]
    legs = geo.great_circle_km(plain[0][:-1], plain[0][1:])
    np.testing.assert_allclose(legs.sum(), geo.great_circle_km(a[0], b[0]), rtol=1e-9)
    np.testing.assert_allclose(legs, legs[0], rtol=1e-6)
    assert plain[0][:, 0].max() > 55  # further north than both ends
    assert cut[0][:, 1].min() > 169 and cut[1][:, 1].max() < -169
    np.testing.assert_allclose(still[0], np.tile([5.0, 5.0], (len(still[0]), 1)), atol=1e-9)


def test_the_map_shows_land_and_photos_where_they_are(errors):
    km = errors.distance_km(geo.DISTANCE_PROTOCOLS["sphere_6371"])
    png = draw_error_map(errors.truth, errors.prediction, km, "test")
    assert png == draw_error_map(errors.truth, errors.prediction, km, "test")
    picture = pixels(png)
    assert picture.shape == (915, 1650, 3)
    land = np.all(picture == (0xD7, 0xDB, 0xDF), axis=-1).mean()
    sea = np.all(picture == (0xEE, 0xF2, 0xF6), axis=-1).mean()
    assert 0.29 * 0.8 < land / (land + sea) < 0.31
    there, elsewhere = np.array([[0.0, 0.0]]), np.array([[0.0, -150.0]])
    far, near = (
        pixels(draw_error_map(point, point, np.array([distance]), "test"))
        for point, distance in ((there, 9000.0), (elsewhere, 0.1))
    )
    changed = np.argwhere(np.any(far != near, axis=-1)[80:830])
    assert np.ptp(changed[:, 1]) > 500  # the two places are far apart on the map


def test_of_many_photos_2000_are_drawn(monkeypatch):
    drawn = []

    def record(a, b):
        drawn.append(len(a))
        return great_circle_lines(a, b)

    monkeypatch.setattr(maps, "great_circle_lines", record)
    latlng = np.random.default_rng(0).uniform([-60, -180], [70, 180], (2001, 2))
    for count in (2000, 2001):
        draw_error_map(latlng[:count], latlng[:count], np.zeros(count), "test")
    assert drawn == [2000, 2000]


def test_maps_need_photos_and_a_radius_for_each_colour():
    none = np.zeros((0, 2))
    with pytest.raises(ValueError, match="no photo"):
        draw_error_map(none, none, np.zeros(0), "test")
    with pytest.raises(ValueError, match="expected 5 radii"):
        draw_error_map(np.zeros((1, 2)), np.zeros((1, 2)), np.zeros(1), "test", (1.0, 25.0))


def test_curves_of_one_quantity_share_a_panel():
    steps = np.arange(20)
    train, validation = (
        Curve("train/loss", steps, steps[::-1]),
        Curve("validation/loss", [9], [3.0]),
    )
    one = pixels(draw_curves([train]))
    assert pixels(draw_curves([train, validation])).shape == one.shape
    other = Curve("train/learning_rate", steps, steps)
    assert pixels(draw_curves([train, other])).shape[1] > 1.8 * one.shape[1]
    radii = [Curve(f"validation/accuracy/{radius}km", steps, steps / 20) for radius in (1, 25, 200)]
    assert pixels(draw_curves(radii)).shape == one.shape
    many = [
        Curve(f"{split}/accuracy/level_{level}", np.arange(300), np.arange(300) / 300)
        for split in ("train", "validation")
        for level in range(7)
    ]
    assert pixels(draw_curves(many)).shape == one.shape
    with pytest.raises(ValueError, match="no curve"):
        draw_curves([])


class Page(HTMLParser):
    """Collects links and text, and whether tags close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.text, self.rows = [], [], [], 0

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.rows += tag == "tr"
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def report(errors, summary):
    km = errors.distance_km(geo.DISTANCE_PROTOCOLS["sphere_6371"])
    return ReportData(
        title="GeoSURGE <demo>",
        config={
            "seed": 7,
            "training": {"optimizer": {"learning_rate": 1e-4}, "name": "a & b"},
            "levels": (1, 2),
        },
        description=[("parameters", "3.2 M")],
        results={"test": results_of(summary, training_density_chance(errors.truth, errors.truth))},
        level_accuracy={"test": (0.5, 0.25)},
        geocells=(12, 80),
        curves=[Curve("train/loss", [0, 1], [2.0, 1.0])],
        maps={"im2gps 3k": draw_error_map(errors.truth, errors.prediction, km, "test")},
    )


def test_the_report_is_whole_and_self_contained(tmp_path, report):
    markdown, page = write_report(tmp_path, report)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "report-curves.png",
        "report-map-im2gps-3k.png",
        "report.html",
        "report.md",
    ]
    text = markdown.read_text()
    for image in re.findall(r"\]\((.*?)\)", text):
        assert (tmp_path / image).is_file()
    assert text.count("![") == 2
    assert "| training.optimizer.learning_rate | 0.0001 |" in text and "| levels | (1, 2) |" in text
    assert "| parameters | 3.2 M |" in text and "| level 1 | 80 | 25.0 |" in text
    html = page.read_text()
    parsed = Page()
    parsed.feed(html)
    assert not parsed.open and parsed.rows > 15
    assert len(parsed.sources) == 2
    for source in parsed.sources:
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64"
        assert pixels(base64.b64decode(data)).size
    assert "http" not in re.sub(r"base64,[^\"]*", "", html) and "@import" not in html
    assert "GeoSURGE <demo>" in "".join(parsed.text) and "a & b" in "".join(parsed.text)


def test_the_same_report_has_the_same_bytes(tmp_path, report):
    first = [path.read_bytes() for path in write_report(tmp_path, report)]
    assert [path.read_bytes() for path in write_report(tmp_path, report)] == first


def test_what_is_empty_is_left_out(tmp_path, summary):
    markdown, _ = write_report(tmp_path, ReportData("short", {}, {"test": results_of(summary)}))
    headings = re.findall("^## (.*)$", markdown.read_text(), re.MULTILINE)
    assert headings == ["Accuracy", "test by continent"]
    assert len(list(tmp_path.iterdir())) == 2
