"""Files of hierarchies: what is written is read, in the same bytes, and nothing else is taken."""

import io
import zipfile

import numpy as np
import pytest

from geosurge_jax import geo


@pytest.fixture(scope="module")
def latlng():
    return np.random.default_rng(0).normal([45, 10], [10, 20], (3000, 2))


@pytest.fixture(scope="module")
def hierarchy(latlng):
    return geo.build_hierarchy(latlng, (500, 100, 30), 5)


def rewrite(path, **changes):
    """The archive at `path` with members replaced, or left out where the change is None."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def test_round_trip(tmp_path, hierarchy):
    path = tmp_path / "cells.npz"
    geo.save_hierarchy(path, hierarchy)
    loaded = geo.load_hierarchy(path)
    np.testing.assert_array_equal(loaded.ancestors, hierarchy.ancestors)
    assert len(loaded) == len(hierarchy)
    for ours, theirs in zip(loaded.partitions, hierarchy.partitions, strict=True):
        for name in ("ids", "counts", "latlng"):
            assert vars(ours)[name].dtype == vars(theirs)[name].dtype
            np.testing.assert_array_equal(vars(ours)[name], vars(theirs)[name])


def test_any_order_of_the_photos_gives_the_same_bytes(tmp_path, latlng, hierarchy):
    shuffled = np.random.default_rng(1).permutation(latlng)
    geo.save_hierarchy(tmp_path / "a.npz", hierarchy)
    geo.save_hierarchy(tmp_path / "b.npz", geo.build_hierarchy(shuffled, (500, 100, 30), 5))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_bytes_hold_no_time(tmp_path, hierarchy):
    geo.save_hierarchy(tmp_path / "a.npz", hierarchy)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


def test_numpy_opens_the_file(tmp_path, hierarchy):
    geo.save_hierarchy(tmp_path / "a.npz", hierarchy)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert int(archive["version"]) == 1
        np.testing.assert_array_equal(archive["ids_2"], hierarchy.partitions[2].ids)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, hierarchy, monkeypatch):
    path = tmp_path / "a.npz"
    geo.save_hierarchy(path, hierarchy)
    before = path.read_bytes()

    def fails(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(np.lib.format, "write_array", fails)
    with pytest.raises(OSError, match="disk full"):
        geo.save_hierarchy(path, hierarchy)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


def test_files_that_are_no_hierarchy_are_named(tmp_path, hierarchy):
    with pytest.raises(FileNotFoundError, match="none.npz: no such hierarchy"):
        geo.load_hierarchy(tmp_path / "none.npz")
    text = tmp_path / "text.npz"
    text.write_text("class_label,hex_id\n")
    with pytest.raises(ValueError, match="text.npz: not a readable .npz"):
        geo.load_hierarchy(text)
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    with pytest.raises(ValueError, match="other.npz: not a hierarchy"):
        geo.load_hierarchy(tmp_path / "other.npz")
    geo.save_hierarchy(tmp_path / "whole.npz", hierarchy)
    torn = tmp_path / "torn.npz"
    torn.write_bytes((tmp_path / "whole.npz").read_bytes()[:-200])
    with pytest.raises(ValueError, match="torn.npz: not a readable .npz"):
        geo.load_hierarchy(torn)


def test_a_flipped_byte_is_noticed(tmp_path, hierarchy):
    path = tmp_path / "cells.npz"
    geo.save_hierarchy(path, hierarchy)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cells.npz"):
        geo.load_hierarchy(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": np.array(99)}, "version 99, expected 1"),
        ({"counts_1": None}, "'counts_1' is missing"),
        ({"ids_0": np.arange(3, dtype=np.uint64)}, "a partition of 3 ids"),
        ({"ancestors": np.zeros((2, 3), np.int32)}, "ancestors"),
        ({"ancestors": np.zeros((), np.int32)}, "not a usable hierarchy"),
    ],
)
def test_damaged_hierarchies_are_named(tmp_path, hierarchy, change, message):
    path = tmp_path / "cells.npz"
    geo.save_hierarchy(path, hierarchy)
    rewrite(path, **change)
    with pytest.raises(ValueError, match=f"cells.npz: .*{message}"):
        geo.load_hierarchy(path)


def test_pickles_are_not_opened(tmp_path):
    path = tmp_path / "evil.npz"
    member = io.BytesIO()
    np.lib.format.write_array(member, np.array([{}], object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("format.npy", member.getvalue())
    with pytest.raises(ValueError, match="evil.npz: not a readable .npz"):
        geo.load_hierarchy(path)
