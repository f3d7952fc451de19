import csv
import gzip
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from geographiclib.geodesic import Geodesic

from geosurge_jax.geo import PlaceName, name_places
from geosurge_jax.geo.outlines import Outlines
from geosurge_jax.geo.place_table import place_table
from geosurge_jax.geo.waters import water_name


def name(latitude: float, longitude: float) -> PlaceName:
    return name_places(np.array([[latitude, longitude]]))[0]


@pytest.mark.parametrize(
    ("latlng", "country"),
    [
        ((35.68, 139.76), "Japan"),  # Tokyo
        ((64.147, -21.94), "Iceland"),  # Reykjavik
        ((41.9026, 12.4534), "Vatican City"),  # inside Rome
        ((41.8902, 12.4922), "Italy"),  # the Colosseum
        ((44.95, 34.1), "Ukraine"),  # Simferopol: the country that GeoNames lists its towns in
        ((54.71, 20.51), "Russia"),  # Kaliningrad, between Poland and Lithuania
        ((-29.5, 28.2), "Lesotho"),  # a hole in South Africa
        ((-16.85, 180.0), "Fiji"),  # Taveuni lies across the antimeridian
        ((-16.85, -180.0), "Fiji"),
        ((-16.8, -179.97), "Fiji"),
        ((4.0, -53.0), "French Guiana"),  # drawn as a part of France
        ((78.5, 16.0), "Svalbard and Jan Mayen"),  # drawn as a part of Norway
        ((36.14, -5.35), "Gibraltar"),  # not drawn at all
        ((-8.52, 179.2), "Tuvalu"),  # an atoll that is not drawn
        ((-90.0, 0.0), "Antarctica"),
        ((-77.85, 166.67), "Antarctica"),
        ((71.0, -178.9), "Russia"),  # Wrangel Island, east of the antimeridian
        ((47.605, 7.66), "Germany"),  # Lörrach: Basel is the larger town beside it
        ((42.4416, 19.2636), "Montenegro"),
        ((25.9, -97.5), "United States"),  # Brownsville, with Matamoros across the river
    ],
)
def test_country_of_known_places(latlng, country):
    place = name(*latlng)
    assert place.country == country and place.water == "" and len(place.country_code) == 2


@pytest.mark.parametrize(
    ("latlng", "water"),
    [
        ((0.0, 0.0), "Gulf of Guinea"),
        ((90.0, 0.0), "Arctic Ocean"),
        ((90.0, 180.0), "Arctic Ocean"),
        ((0.0, -150.0), "North Pacific Ocean"),
        ((-30.0, -110.0), "South Pacific Ocean"),
        ((10.0, 180.0), "North Pacific Ocean"),
        ((10.0, -180.0), "North Pacific Ocean"),
        ((-20.0, 80.0), "Indian Ocean"),
        ((-35.0, 19.0), "South Atlantic Ocean"),
        ((-37.0, 21.0), "Indian Ocean"),
        ((40.0, -40.0), "North Atlantic Ocean"),
        ((-20.0, -75.0), "South Pacific Ocean"),
        ((-20.0, -35.0), "South Atlantic Ocean"),
        ((8.3, -79.4), "North Pacific Ocean"),  # the Gulf of Panama
        ((9.6, -79.9), "Caribbean Sea"),  # the other end of the canal
        ((36.0, 18.0), "Mediterranean Sea"),
        ((42.0, 51.0), "Caspian Sea"),
        ((-65.0, 0.0), "Southern Ocean"),
    ],
)
def test_open_water(latlng, water):
    assert water_name(*latlng) == water


def test_a_point_near_an_island_that_is_not_drawn_is_on_land():
    """Funafuti is an atoll; the point is in its lagoon, 6 km from the town."""
    place = name(-8.5, 179.15)
    assert place.country == "Tuvalu" and 4 < place.town_distance_km < 8 and not place.water
    assert name(-8.5, 178.9).water == "South Pacific Ocean"


def test_the_smallest_country_is_found_by_its_outline():
    # The outline of the Vatican is drawn 1.6 km too far west.
    table = place_table()
    country = table.country_at(np.array([[41.9016, 12.4334], [41.8902, 12.4922]]))
    assert [table.country_codes[index] for index in country] == ["VA", "IT"]


def test_a_point_at_sea_has_water_and_the_nearest_town():
    place = name(60.0, -14.0)
    assert (place.country, place.country_code, place.water) == ("", "", "North Atlantic Ocean")
    assert str(place) == "North Atlantic Ocean, 420 km from Hvalba, Suðuroy, Faroe Islands"


def test_captions_read_well():
    reine = name(67.93, 13.09)
    assert str(reine) == "Reine, Nordland, Norway"
    assert str(name(67.96, 13.05)) == "3 km from Reine, Nordland, Norway"
    assert str(name(-90, 0)).startswith("Antarctica, 3,900 km from Puerto Williams, ")
    assert str(name(41.9026, 12.4534)) == "Vatican City"


def test_distance_and_choice_of_the_town_agree_with_a_search_on_the_ellipsoid():
    """Brute force over all towns by another library; the sphere is within 0.6 % of the ellipsoid."""
    table = place_table()
    points = np.array(
        [[0.0, -150.0], [-16.8, -179.97], [89.0, 120.0], [51.0, -179.99], [12.0, 180.0]]
    )
    for point, (index, distance) in zip(
        points, zip(*table.nearest_town(points), strict=True), strict=True
    ):
        dots = np.cos(np.radians(table.latlng[:, 0] - point[0])) - np.cos(
            np.radians(table.latlng[:, 0])
        ) * np.cos(np.radians(point[0])) * (1 - np.cos(np.radians(table.latlng[:, 1] - point[1])))
        assert table.names[index] == table.names[int(np.argmax(dots))]
        metres = Geodesic.WGS84.Inverse(*point, *table.latlng[index], Geodesic.DISTANCE)["s12"]
        assert distance == pytest.approx(metres / 1000, rel=6e-3)


def test_the_town_lies_in_the_country_of_the_point():
    generator = np.random.default_rng(0)
    z, longitude = generator.uniform(-1, 1, 3000), generator.uniform(-180, 180, 3000)
    places = name_places(np.stack([np.degrees(np.arcsin(z)), longitude], axis=1))
    on_land = [place for place in places if not place.water]
    # 29 % of the Earth is land; a few kilometres of every coast are counted with it.
    assert 0.26 < len(on_land) / len(places) < 0.34
    without_town = {
        "Antarctica",
        "French Southern Territories",
        "Heard Island and McDonald Islands",
    }
    for place in on_land:
        assert place.country == place.town_country or place.country in without_town


def test_every_town_is_in_its_own_country():
    table = place_table()
    rows = np.arange(0, len(table.latlng), 97)
    codes = [place.country_code for place in name_places(table.latlng[rows])]
    own = [table.country_codes[table.country[row]] for row in rows]
    # Towns of two countries at the very same spot cannot be told apart.
    assert np.mean([a == b for a, b in zip(codes, own, strict=True)]) > 0.998


def test_outlines_count_holes_and_prefer_the_lowest_owner():
    square = np.array([[0.0, 0], [0, 10], [10, 10], [10, 0]])
    outlines = Outlines([square * 0.2 + 2, square, square * 0.4 + 5], np.array([0, 1, 1]))
    points = np.array([[1.0, 1], [3, 3], [6, 6], [11, 1], [1, -1]])
    assert outlines.containing(points).tolist() == [1, 0, -1, -1, -1]


def test_bad_rows_are_named():
    with pytest.raises(ValueError, match="91"):
        name_places(np.array([[0.0, 0.0], [91.0, 0.0]]))
    assert name_places(np.empty((0, 2))) == []


def test_threads_agree():
    points = np.array([[48.85, 2.35], [4.0, -53.0], [0.0, -150.0]])
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: name_places(points), range(8)))
    assert all(answer == answers[0] for answer in answers)


def test_the_build_command_makes_the_table_from_its_sources(tmp_path):
    feature = {
        "properties": {"adm0_a3": "FRA", "iso_a2": "-99"},
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]],
        },
    }
    (tmp_path / "c.json").write_text(json.dumps({"features": [feature]}))
    (tmp_path / "n.csv").write_text("FR,France\n")
    with gzip.open(tmp_path / "t.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("city", "state", "country_code", "latitude", "longitude", "population"))
        writer.writerow(("Ville", "Région", "FR", "5.00004", "6", "1"))
    script = (
        "import data.place_names as b, sys; from pathlib import Path;"
        "b.DATA_FILE = Path(sys.argv.pop(1)); b.main()"
    )
    options = (f"--towns={tmp_path}/t.gz", f"--countries={tmp_path}/c.json")
    made = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for file in made:
        command = [sys.executable, "-c", script, str(file), *options]
        subprocess.run([*command, f"--country_names={tmp_path}/n.csv"], check=True)
    assert made[0].read_bytes() == made[1].read_bytes()
    with np.load(made[0]) as stored:
        assert stored["town_latlng"].tolist() == [[50000], [60000]]
        assert stored["town_names"].tobytes().decode() == "Ville"
        assert stored["country_names"].tolist() == ["France"]
