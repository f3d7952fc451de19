import unicodedata

import pytest

from geosurge_jax.importing.archives.contract import Member
from geosurge_jax.importing.photo_rows import PhotoRows, write_photo_rows
from geosurge_jax.importing.row_values import RejectedRow
from geosurge_jax.importing.table import open_table


def rows_of(tmp_path, names):
    lines = [f"{name},{n + 1},5" for n, name in enumerate(names)]
    (tmp_path / "t.csv").write_text("\n".join(["file,lat,lon", *lines]))
    write_photo_rows(open_table(tmp_path / "t.csv", {}), tmp_path / "rows")
    return PhotoRows(tmp_path / "rows")


def find(rows, name):
    return rows.find(Member(name, b"", "", {}).ids)


@pytest.mark.parametrize(
    ("listed", "name", "identity"),
    [
        ("a/p1.jpg", "a/p1.jpg", "a_p1"),
        ("a/p1.jpg", "photos/a/p1.jpg", "a_p1"),
        ("a/p1.jpg", "a/P1.JPG", "a_P1"),
        (unicodedata.normalize("NFC", "é.jpg"), unicodedata.normalize("NFD", "é.jpg"), "é"),
        ("x\\p1.jpg", "x/p1.jpg", "x_p1"),
        ("/home/ann/photos/a/p1.jpg", "a/p1.jpg", "a_p1"),
        ("C:\\Photos\\p1.jpg", "p1.png", "p1"),
    ],
)
def test_a_photo_finds_its_row(tmp_path, listed, name, identity):
    rows = rows_of(tmp_path, ["other.jpg", listed])
    found = find(rows, name)
    assert unicodedata.normalize("NFC", found.identity) == identity
    assert found.row.latlng == (2.0, 5.0)


def test_an_exact_name_goes_before_one_in_another_case(tmp_path):
    rows = rows_of(tmp_path, ["AbC.jpg", "aBc.jpg"])
    assert find(rows, "AbC.jpg").row.latlng[0] == 1 and find(rows, "aBc.jpg").row.latlng[0] == 2
    with pytest.raises(RejectedRow, match="ambiguous row: rows 2 and 3 may be of this photo"):
        find(rows, "abc.jpg")


def test_photos_of_one_row_share_its_key(tmp_path):
    rows = rows_of(tmp_path, ["AbC.jpg"])
    exact, other = find(rows, "AbC.jpg"), find(rows, "abc.jpg")
    assert exact.key == other.key and exact.outer < other.outer


def test_a_photo_in_another_folder_is_not_that_of_the_row(tmp_path):
    rows = rows_of(tmp_path, ["/home/ann/photos/a/p1.jpg"])
    with pytest.raises(RejectedRow, match="no row"):
        find(rows, "b/p1.jpg")


def test_lone_surrogates_of_json_are_rejected_rows(tmp_path):
    lines = [
        '{"file": "a.jpg", "lat": 1, "lon": 2}',
        '{"file": "\\ud800.jpg", "lat": 1, "lon": 2}',
        '{"file": "b.jpg", "lat": 1, "lon": 2, "author": "\\ud83d"}',
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    write_photo_rows(open_table(tmp_path / "t.jsonl", {}), tmp_path / "rows")
    rows = PhotoRows(tmp_path / "rows")
    assert [(rejected.row, rejected.kind) for rejected in rows.rejections] == [
        (2, "not UTF-8"),
        (3, "not UTF-8"),
    ]
    assert find(rows, "a.jpg").row.latlng == (1.0, 2.0)
