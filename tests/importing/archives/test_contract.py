import pytest

from geosurge_jax.importing.archives.contract import photo_id


@pytest.mark.parametrize(
    "name",
    [
        "a/b/NAME.jpg",
        "./a/b/NAME.jpg",
        "a_b_NAME.jpg",
        "a/b/NAME",
        "a//b/./NAME.JPEG",
        "a\\b\\NAME.png",
    ],
)
def test_one_photo_has_one_id(name):
    assert photo_id(name) == "a_b_NAME"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NAME.2009.jpg", "NAME.2009"),
        ("NAME.2009", "NAME.2009"),
        ("NAME.jpg.png", "NAME.jpg"),
        ("a/.jpg", "a_"),
        (".jpg", ".jpg"),
        ("", ""),
    ],
)
def test_only_the_suffix_of_a_photo_goes(name, expected):
    assert photo_id(name) == expected
