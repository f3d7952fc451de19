import hashlib
from collections import Counter
from typing import Any

import numpy as np
import pytest
import s2sphere

from geosurge_jax.dataset.splits import assign_splits, check_fractions, group_digests, group_keys

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def split_names(keys):
    names = list(SHARES)
    return [names[index] for index in assign_splits(group_digests(keys), SHARES)]


def test_photos_without_author_are_grouped_by_their_cell():
    latlng = np.array([[48.77, 9.16], [48.7701, 9.1601], [48.77, 9.16], [-33.8, 151.2]])
    keys = group_keys(latlng, ["", "", "Ada", ""])
    leaves = [s2sphere.LatLng.from_degrees(*point) for point in latlng.tolist()]
    cells: list[Any] = [s2sphere.CellId.from_lat_lng(leaf) for leaf in leaves]
    expected = [cell.parent(10).id() for cell in cells]
    assert keys[0] == keys[1] == f"cell {expected[0]}"
    assert keys[2] == "author Ada" and keys[3] == f"cell {expected[3]}"


def test_shares_are_met_and_groups_stay_whole():
    keys = [f"author {i % 2000}" for i in range(6000)]
    splits = split_names(keys)
    counts = Counter(splits)
    assert 4700 < counts["train"] < 4900
    assert 540 < counts["validation"] < 660 and 540 < counts["test"] < 660
    assert splits[:2000] == splits[2000:4000] == splits[4000:]


def test_more_photos_do_not_move_the_others():
    keys = [f"author {i}" for i in range(200)]
    assert split_names(keys)[:100] == split_names(keys[:100])


@pytest.mark.parametrize("groups", [3, 4, 5])
@pytest.mark.parametrize("name", ["a", "b", "c", "d", "e", "f"])
def test_small_folders_fill_every_split(groups, name):
    keys = [f"{name} {i}" for i in range(groups) for _ in range(1 + i)]
    splits = split_names(keys)
    assert set(splits) == set(SHARES)
    assert splits == split_names(keys)
    assert len({*zip(keys, splits, strict=True)}) == groups
    backwards = split_names(keys[::-1])
    assert backwards[::-1] == splits


def test_an_empty_split_takes_the_smallest_group():
    """By their hashes (of which eight hexadecimal digits will do) all these fall into train."""
    names = [f"g{i}" for i in range(100)]
    train = [n for n in names if int(hashlib.sha256(n.encode()).hexdigest()[:8], 16) < 0.8 * 2**32]
    keys = [name for size, name in zip((5, 2, 9, 1), train, strict=False) for _ in range(size)]
    split_of = dict(zip(keys, split_names(keys), strict=True))
    assert split_of == dict(zip(train, ("train", "test", "train", "validation"), strict=False))


def test_too_few_groups():
    with pytest.raises(ValueError, match="3 photos of 2 authors or places, expected at least 3"):
        split_names(["a", "b", "b"])


def test_fractions():
    assert check_fractions([0.8, 0.1, 0.1]) == SHARES
    assert check_fractions([0.9, 0, 0.1]) == {"train": 0.9, "test": 0.1}
    for bad in ([1.0], [0.5, 0.6, -0.1], [0.8, 0.1, 0.2], [0, 0.5, 0.5], [float("nan")] * 3):
        with pytest.raises(ValueError, match="fractions .*--fractions"):
            check_fractions(bad)
