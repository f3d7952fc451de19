import unicodedata

import pytest

from geosurge_jax.importing.file_matching import FileMatcher
from geosurge_jax.importing.row_values import RejectedRow

PATHS = ("p01.JPG", "x/p02.jpg", "x/é03.jpg", "y/z/p04.png", "y/p05.jpg", "z/p05.jpg", "q.tar.jpg")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("p01.JPG", "p01.JPG"),
        ("./p01.JPG", "p01.JPG"),
        ("p01.jpg", "p01.JPG"),
        ("p01", "p01.JPG"),
        ("x\\p02.jpg", "x/p02.jpg"),
        ("X/P02.jpeg", None),
        ("X/P02", "x/p02.jpg"),
        (unicodedata.normalize("NFD", "x/é03.jpg"), "x/é03.jpg"),
        ("/home/ann/photos/x/p02.jpg", "x/p02.jpg"),
        ("C:\\Photos\\y\\z\\p04.png", "y/z/p04.png"),
        ("p04", "y/z/p04.png"),
        ("/data/z/p05.jpg", "z/p05.jpg"),
        ("q.tar", "q.tar.jpg"),
    ],
)
def test_a_name_finds_its_file(name, path):
    matcher = FileMatcher(PATHS)
    if path is None:
        with pytest.raises(RejectedRow, match="missing file"):
            matcher.find(name)
    else:
        assert matcher.find(name) == path


def test_names_decomposed_by_the_file_system_are_found():
    decomposed = unicodedata.normalize("NFD", "x/é03.jpg")
    assert FileMatcher([decomposed]).find("x/é03.jpg") == decomposed


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("p05.jpg", "ambiguous file: p05.jpg may be y/p05.jpg or z/p05.jpg"),
        ("w/p05", "ambiguous file: w/p05 may be y/p05.jpg or z/p05.jpg"),
        ("", "missing file: "),
        ("/", "missing file: /"),
        ("a" * 300, "missing file: " + "a" * 120 + "..."),
        ("p\x0001.jpg", r"missing file: p\x0001.jpg"),
    ],
)
def test_a_name_without_one_file_is_a_reason(name, reason):
    with pytest.raises(RejectedRow) as error:
        FileMatcher(PATHS).find(name)
    assert str(error.value) == reason
