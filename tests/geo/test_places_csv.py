import numpy as np
import pytest

from geosurge_jax.geo import read_places_csv


def write(tmp_path, text):
    path = tmp_path / "places.csv"
    path.write_bytes(text)
    return path


def test_places_come_in_order_whatever_else_the_file_holds(tmp_path):
    path = write(tmp_path, b"\xef\xbb\xbfid,LON,LAT\r\na,180,1.5\r\nb,-70.25,-90\r\n")
    np.testing.assert_array_equal(read_places_csv(path), [[1.5, -180.0], [-90.0, -70.25]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "columns \\[\\], expected"),
        (b"lat,lon\n1,2\n", r"columns \['lat', 'lon'\], expected \['LAT', 'LON'\]"),
        (b"LAT,LON\n", "no place, expected at least one row"),
        (b"LAT,LON\n1,2\nnorth,3\n", "line 3: \\['north', '3'\\]: expected degrees"),
        (b"LAT,LON\n1\n", "line 2: \\['1'\\]: expected degrees"),
        (b"LAT,LON\n1,2\n91,3\n", r"row 1 is \(91.0, 3.0\)"),
        (b"LAT,LON\n1,nan\n", r"row 0 is \(1.0, nan\)"),
        (b"LAT,LON\n1,\xff\n", "line 2: .*expected degrees"),
    ],
)
def test_other_files_end_in_one_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=message) as caught:
        read_places_csv(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="none.csv: not a readable CSV"):
        read_places_csv(tmp_path / "none.csv")
