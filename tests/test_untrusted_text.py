import csv
import io

import pytest

from geosurge_jax.evaluation.tables import Table
from geosurge_jax.importing.row_values import Rejection, rejections_csv
from geosurge_jax.untrusted_text import csv_cell, encodable, printable, readable_file_name


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\x01=1", "'\x01=1"),
        ("-33.86", "-33.86"),
        ("+1e5", "+1e5"),
        ("a=b", "a=b"),
        ("Stra\udcdfe.jpg", r"Stra\xdfe.jpg"),
        ("\ud800", r"\ud800"),
        ("a\x00b", r"a\x00b"),
    ],
)
def test_cells_are_no_formulas(text, cell):
    assert csv_cell(text) == cell


def test_names_are_text():
    assert readable_file_name("Stra\udcdfe.jpg") == r"Stra\xdfe.jpg"
    assert readable_file_name("é.jpg") == "é.jpg"
    assert encodable("\ud800\udcdf") == "\\ud800\\udcdf"
    assert printable("\x1b[31mred\x07 \u202egpj.exe") == "\\x1b[31mred\\x07 \\u202egpj.exe"


def test_rejections_hold_neither_formulas_nor_endless_cells():
    rejected = [Rejection(7, '=cmd|"/c calc"', "a\nb.jpg", "not a number: " + "9" * 160_000)]
    (row,) = csv.DictReader(io.StringIO(rejections_csv(rejected).decode(), newline=""))
    assert row["id"] == '\'=cmd|"/c calc"' and row["file"] == "a\nb.jpg"
    assert row["reason"] == "not a number: " + "9" * 486 + "..."


def test_reports_hold_no_markup_of_names():
    table = Table(("kind", "photo"), (("bad", "<script>alert(1)</script>|\x1b[2J\n# x"),))
    assert "<script>" not in table.html() and "&lt;script&gt;" in table.html()
    row = table.markdown().splitlines()[2]
    assert row == r"| bad | &lt;script>alert(1)&lt;/script>\|\x1b[2J\n# x |"
    assert "\x1b" not in table.html()
