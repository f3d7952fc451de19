"""Tables as people write them: each fault, and what is kept of the table."""

import json
import random
import re

import pytest

from geosurge_jax.importing.coordinates import parse_degrees
from geosurge_jax.importing.row_values import row_latlng
from geosurge_jax.importing.table import open_table

PLACES = [(48.5, 2.25), (-33.75, 151.5), (40.5, -74.0), (-22.5, -43.25), (35.5, 139.75)]
HEADER = "file,latitude,longitude\n"
BODY = "".join(f"{i}.jpg,{lat},{lng}\n" for i, (lat, lng) in enumerate(PLACES))


def opened(tmp_path, content, name="metadata.csv", named=None):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_table(path, named or {})


def places(table):
    """Coordinates of the rows without a problem."""
    return [row_latlng(row.values) for row in table if not row.problem]


def problems(table):
    return {row.number: row.problem for row in table if row.problem}


@pytest.mark.parametrize(
    "codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_encodings(tmp_path, codec):
    table = opened(tmp_path, (HEADER + BODY).replace(",", "\t").encode(codec))
    assert places(table) == PLACES and not problems(table)
    assert any("read as UTF" in note for note in table.notes) == (codec != "utf-8-sig")


def test_cp1252_where_utf8_fails(tmp_path):
    text = "file,latitude,longitude,author\na.jpg,1,2,José\nb.jpg,3,4,Ann\n"
    table = opened(tmp_path, text.encode("cp1252"))
    assert [row.values["author"] for row in table] == ["José", "Ann"]
    assert table.notes == ("read as cp1252 because it is not UTF-8",)


@pytest.mark.parametrize(
    ("change", "notes"),
    [
        (lambda text: text, 0),
        (lambda text: "sep=;\n" + text.replace(",", ";"), 0),
        (lambda text: text.replace(",", "\t"), 0),
        (lambda text: text.replace("-", "\u2212"), 0),
        (lambda text: text.replace(",", ";").replace(".", ",").replace(",jpg", ".jpg"), 1),
        (lambda text: text + ",,\n , ,\n\n,,\n", 0),
        (lambda text: text.replace("\n", "\r"), 0),
    ],
    ids=["plain", "sep", "tab", "minus", "comma", "blank", "cr"],
)
def test_spellings_of_one_table(tmp_path, change, notes):
    table = opened(tmp_path, change(HEADER + BODY))
    assert places(table) == PLACES and not problems(table)
    assert [row.values["file"] for row in table] == [f"{i}.jpg" for i in range(5)]
    assert len(table.notes) == notes


def test_swapped_columns_reject_the_table(tmp_path):
    swapped = "".join(f"{i}.jpg,{lng},{lat}\n" for i, (lat, lng) in enumerate(PLACES))
    with pytest.raises(ValueError, match="swapped: row 3 .latitude 151.5.* 2 rows") as error:
        opened(tmp_path, HEADER + swapped)
    assert "--latitude-column=longitude --longitude-column=latitude" in str(error.value)
    named = {"latitude": "longitude", "longitude": "latitude"}
    assert places(opened(tmp_path, HEADER + swapped, named=named)) == PLACES


def test_swapped_rows_beside_contrary_ones_are_single_faults(tmp_path):
    table = opened(tmp_path, HEADER + "a.jpg,1,120\nb.jpg,120,1\n")
    assert [row.values["latitude"] for row in table] == ["1", "120"]


def test_longitudes_from_0_to_360(tmp_path):
    text = HEADER + "".join(f"{i}.jpg,{lat},{lng % 360}\n" for i, (lat, lng) in enumerate(PLACES))
    table = opened(tmp_path, text)
    assert places(table) == PLACES
    assert table.notes == ("longitudes run from 0 to 360 and were converted to -180 to 180",)
    mixed = opened(tmp_path, text + "x.jpg,1,-5\n")
    assert mixed.notes == () and [row.values["longitude"] for row in mixed][2] == "286.0"


@pytest.mark.parametrize("header", ["latitude,longitude", "lat,lng"])
def test_two_columns_of_one_role(tmp_path, header):
    lines = [f"file,latitude,longitude,{header}", "a.jpg,1,2,1,2", "b.jpg,3,4,3.0,4"]
    assert places(opened(tmp_path, "\n".join(lines))) == [(1, 2), (3, 4)]
    with pytest.raises(ValueError, match="'latitude' and 'lat.*row 4 .'5', '7'.*--latitude-column"):
        opened(tmp_path, "\n".join([*lines, "c.jpg,5,6,7,6"]))


def test_a_repeated_column_can_be_named(tmp_path):
    text = "file,lat,lng,lat\na.jpg,1,2,3\n"
    assert places(opened(tmp_path, text, named={"latitude": "lat (column 4)"})) == [(3, 2)]


def test_a_missing_header(tmp_path):
    with pytest.raises(ValueError, match="no header: the first line is data .0.jpg, 48.5, 2.25"):
        opened(tmp_path, BODY)


@pytest.mark.parametrize("later", ["ok", '"ok, fine"', 'six"', '"say ""hi"""'])
def test_a_stray_quote_costs_one_row(tmp_path, later):
    captions = ["ok", '"5 inch gate', "ok", later, "ok"]
    lines = [f"{i}.jpg,{captions[i]},{lat},{lng}\n" for i, (lat, lng) in enumerate(PLACES)]
    table = opened(tmp_path, "file,caption,latitude,longitude\n" + "".join(lines))
    assert places(table) == [PLACES[0], *PLACES[2:]]
    ((line, problem),) = problems(table).items()
    assert line == 3 and problem.startswith("quote: not closed properly from line 3 on")


def test_a_quoted_field_may_span_lines(tmp_path):
    text = 'file,caption,lat,lng\na.jpg,"one\n\ntwo, ""three""\n",1,2\nb.jpg,x,3,4\n'
    table = opened(tmp_path, text)
    assert places(table) == [(1, 2), (3, 4)] and [row.number for row in table] == [2, 6]


def test_long_cells_and_nul_bytes(tmp_path):
    text = f'file,lat,lng,shape\na.jpg,1,2,{"1 2 " * 40000}\nb.jpg,1,2,"{"1,2 " * 40000}"\n'
    table = opened(tmp_path, text + "c\0.jpg,1,2,\nd.jpg,3,4,\n")
    assert places(table) == [(1, 2), (1, 2), (3, 4)]
    assert problems(table) == {4: "damaged: file has a NUL byte"}


def test_json_lines_that_no_parser_likes(tmp_path):
    good = '{"file": "a.jpg", "latitude": "48°30\'N", "longitude": 2.25}\n'
    bad = ["[" * 100_000, '{"latitude": ' + "9" * 5000 + "}", "NaN", '{"file": "\0"}']
    table = opened(tmp_path, good + "\n".join(bad) + "\n" + good, name="metadata.jsonl")
    assert places(table) == [(48.5, 2.25)] * 2
    assert list(problems(table)) == [2, 3, 4, 5]
    assert problems(table)[2].startswith("line: nested too deeply")


def test_geojson(tmp_path):
    features = [
        {
            "type": "Feature",
            "id": 7,
            "properties": {"file": "a.jpg", "latitude": "old"},
            "geometry": {"type": "Point", "coordinates": [2.25, 48.5, 30]},
        },
        {"type": "Feature", "properties": {"file": "b.jpg"}, "geometry": None},
        [],
    ]
    content = json.dumps({"type": "FeatureCollection", "features": features})
    table = opened(tmp_path, content, name="metadata.geojson")
    assert places(table) == [(48.5, 2.25)] and next(iter(table)).values["id"] == "7"
    assert problems(table)[2] == "geometry: None, expected a Point of longitude and latitude"
    assert list(problems(table)) == [2, 3]
    for broken in ("[" * 100_000, "[]", "{"):
        with pytest.raises(ValueError, match="expected a GeoJSON FeatureCollection") as error:
            opened(tmp_path, broken, name="metadata.geojson")
        assert "\n" not in str(error.value)


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"file": ["a.jpg", None], "lat": [48.5, -1.0], "lng": [2.25, 3.5]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "metadata.parquet")
    table = open_table(tmp_path / "metadata.parquet", {})
    assert places(table) == [(48.5, 2.25), (-1, 3.5)]
    assert [row.values["file"] for row in table] == ["a.jpg", ""]
    with pytest.raises(ValueError, match="expected Parquet") as error:
        opened(tmp_path, "nonsense", name="metadata.parquet")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "role", "expected"),
    [
        ("48°51'24\"N", "latitude", 48 + 51 / 60 + 24 / 3600),
        ("W 2° 30′ 36″", "longitude", -2.51),
        ("33d52m12sS", "latitude", -33.87),
        ("48,86", "latitude", 48.86),
        ("2.5 W", "longitude", -2.5),
        ("\u22120,5", "longitude", -0.5),
        ("-0°30'", "longitude", -0.5),
        ("12° 30.6'", "latitude", 12.51),
    ],
)
def test_angles(text, role, expected):
    assert parse_degrees(text, role) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    ["48°60'", "48°5'60\"", "-5 S", "N5S", "5E", "48.5°30'", "1_0", "", "N", "48,7,7", "1 000"],
)
def test_texts_that_are_no_latitude(text):
    with pytest.raises(ValueError, match="expected"):
        parse_degrees(text, "latitude")


def spelled(degrees, letters, style, rng):
    """An angle in one of the accepted styles."""
    size, letter = abs(degrees), letters[degrees < 0]
    sign = rng.choice(["-", "\u2212"]) if degrees < 0 else ""
    seconds = round(size * 3600, 5)
    whole, minutes, rest = int(seconds // 3600), int(seconds % 3600 // 60), seconds % 60
    marks = rng.choice(["°'\"", "º′″", "dms", "°’”"])
    dms = f"{whole}{marks[0]} {minutes}{marks[1]}{rest:.5f}{marks[2]}"
    if f"{rest:.5f}" == "60.00000":
        dms = f"{size:.8f}"
    decimal = f"{size:.8f}".replace(".", rng.choice(".,"))
    return [sign + decimal, f"{decimal}°{letter}", letter + decimal, dms + letter, sign + dms][
        style
    ]


@pytest.mark.parametrize("style", range(5))
def test_every_style_reads_back(style):
    rng = random.Random(style)
    for _ in range(500):
        latitude, longitude = rng.uniform(-90, 90), rng.uniform(-180, 180)
        for role, degrees, letters in (
            ("latitude", latitude, "NS"),
            ("longitude", longitude, "EW"),
        ):
            text = spelled(degrees, letters, style, rng)
            assert abs(parse_degrees(text, role) - degrees) < 1e-6, text


def test_messages_are_one_line(tmp_path):
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))) as error:
        opened(tmp_path, 'file,"latitude\n,longitude\n')
    assert "\n" not in str(error.value)
