import pytest

from geosurge_jax.importing.table import open_table


def table(tmp_path, text: str, named=None, name: str = "metadata.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8"))
    return open_table(path, named or {})


@pytest.mark.parametrize(
    "header",
    [
        "LAT,LON,IMG_FILE",
        "lat,lng,image",
        "latitude,long,path",
        "Latitude,Longitude,file_name",
        "lat,lon,IMG_ID",
        " lat ,lon,filename",
    ],
)
def test_common_names(tmp_path, header):
    (row,) = list(table(tmp_path, f"{header}\n1.5, -2.5 ,a.jpg\n"))
    assert row.values["latitude"] == "1.5" and row.values["longitude"] == "-2.5"
    assert row.values["file"] == "a.jpg" and row.number == 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_byte_order_mark_and_quotes(tmp_path, delimiter):
    lines = [
        ["file", "lat", "lng", "note"],
        ["a.jpg", "1", "2", f'"one{delimiter} ""two""\nthree"'],
    ]
    text = "\ufeff" + "\r\n".join(delimiter.join(line) for line in lines)
    found = table(tmp_path, text)
    assert next(iter(found)).values == {"latitude": "1", "longitude": "2", "file": "a.jpg"}
    assert found.ignored == ("note",)


def test_named_columns_win(tmp_path):
    named = {"latitude": "y", "id": "lat"}
    found = table(tmp_path, "file,lat,lng,y\na.jpg,1,2,3\n", named)
    assert next(iter(found)).values == {
        "file": "a.jpg",
        "latitude": "3",
        "longitude": "2",
        "id": "1",
    }


def test_an_id_may_name_the_file(tmp_path):
    found = table(tmp_path, "key,lat,lng\n0042,1,2\n")
    assert next(iter(found)).values["file"] == next(iter(found)).values["id"] == "0042"


def test_short_and_long_rows(tmp_path):
    rows = list(table(tmp_path, "file,lat,lng\na.jpg,1\nb.jpg,1,2,3\n"))
    assert rows[0].values["longitude"] == "" and not rows[0].problem
    assert rows[1].problem == "columns: 1 more than in the header"


def test_json_lines(tmp_path):
    text = '{"file": "a.jpg", "lat": 0.1, "lng": -2}\n\n{"lat": null, "file": "b.jpg"}\n[1]\n{"a\n'
    rows = list(table(tmp_path, text, name="list.jsonl"))
    assert [row.number for row in rows] == [1, 3, 4, 5]
    assert rows[0].values == {"file": "a.jpg", "latitude": "0.1", "longitude": "-2"}
    assert rows[1].values == {"file": "b.jpg", "latitude": "", "longitude": ""}
    assert rows[2].problem == "line: list, expected a JSON object"
    assert rows[3].problem.startswith("line: not JSON")


@pytest.mark.parametrize(
    ("text", "named", "message"),
    [
        ("", {}, "no rows"),
        ("file,lat,lng\n", {}, "no rows"),
        ("file,lat\na.jpg,1\n", {}, "no column for the longitude.*--longitude-column.*: file, lat"),
        ("lat,lng\n1,2\n", {}, "no column for the file"),
        ("file,lat,lng\na,1,2\n", {"author": "by"}, "no column 'by'.*file, lat, lng.*--author-col"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, named, message):
    with pytest.raises(ValueError, match=message) as error:
        table(tmp_path, text, named)
    assert "metadata.csv" in str(error.value) and "\n" not in str(error.value)


def test_a_table_that_is_not_text(tmp_path):
    (tmp_path / "metadata.csv").write_bytes("file,lat,lng\né,1,2\n".encode() + b"\xff\xfe,1,2\n")
    sound, row = open_table(tmp_path / "metadata.csv", {})
    assert sound.values["file"] == "é" and not sound.problem
    assert row.problem == "not UTF-8: bytes that are no UTF-8 text"
