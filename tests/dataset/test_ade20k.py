import pytest

from geosurge_jax.dataset.ade20k import CLASSES, class_id

# Ids of the published list, from its first to its last name.
PUBLISHED = {
    "wall": 0, "building": 1, "sky": 2, "tree": 4, "road": 6, "windowpane": 8, "grass": 9,
    "sidewalk": 11, "earth": 13, "mountain": 16, "car": 20, "water": 21, "sea": 26, "field": 29,
    "fence": 32, "rock": 34, "signboard": 43, "sand": 46, "skyscraper": 48, "path": 52, "river": 60,
    "hill": 68, "palm": 72, "tower": 84, "streetlight": 87, "pole": 93, "land": 94, "flag": 149,
}  # fmt: skip


def test_names_stand_where_the_benchmark_has_them():
    assert len(CLASSES) == len(set(CLASSES)) == 150
    assert {name: class_id(name) for name in PUBLISHED} == PUBLISHED


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'tarmac'"):
        class_id("tarmac")
