import os
import tracemalloc
from pathlib import Path

import pytest

from geosurge_jax.importing.archives.image_tree import ImageTree
from tests.importing.archives.conftest import photo, problems, read_all


@pytest.fixture
def source(tmp_path) -> Path:
    folder = tmp_path / "photos"
    for number in range(12):
        path = folder / f"{number % 2}" / f"{number % 3}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(number))
    (folder / "top.PNG").write_bytes(photo(99))
    return folder


def test_each_photo_once_and_in_the_same_order(source, tmp_path, small_units):
    members = read_all(ImageTree(source), tmp_path)
    expected = ["top"] + [
        f"{top}_{middle}_{number}"
        for top in range(2)
        for middle in range(3)
        for number in sorted(range(12), key=str)
        if (number % 2, number % 3) == (top, middle)
    ]
    assert [member.id for member in members] == expected
    assert problems(members) == []
    for member in members[1:]:
        assert member.content == photo(int(member.id.rpartition("_")[2]))
    units = ImageTree(source).contents(tmp_path).units
    assert [unit.stop - unit.start for unit in units] == [3, 3, 3, 3, 1]
    assert len({unit.path for unit in units}) > 1


def test_units_by_bytes(source, tmp_path, small_units):
    for number in range(3):
        (source / "1" / "1" / f"{number}.jpg").write_bytes(bytes([255]) * 2500)
    units = ImageTree(source).contents(tmp_path).units
    for unit in units:
        sizes = [len(member.content) for member in ImageTree(source).read(unit)]
        assert len(sizes) == 1 or sum(sizes) <= 4000
    assert len(units) == 7


def test_what_is_not_a_photo_is_not_there(source, tmp_path):
    (source / "0" / "notes.txt").write_text("x")
    (source / "0" / "._0.jpg").write_bytes(b"x")
    (source / ".thumbnails").mkdir()
    (source / ".thumbnails" / "0.jpg").write_bytes(b"x")
    (source / "folder.jpg").mkdir()
    (source / "folder.jpg" / "a.webp").write_bytes(b"x")
    ids = [member.id for member in read_all(ImageTree(source), tmp_path)]
    assert len(ids) == 14 and "folder.jpg_a" in ids


def test_what_is_skipped_is_counted(source, tmp_path):
    (source / "0" / "notes.txt").write_text("x")
    (source / "0" / "._0.jpg").write_bytes(b"x")
    (source / "@eaDir").mkdir()
    (source / "run" / "eval").mkdir(parents=True)
    (source / "run" / "run.json").write_text("{}")
    (source / "run" / "report.png").write_bytes(photo(0))
    found = ImageTree(source).contents(tmp_path)
    expected = {".txt": 1, "hidden": 1, "system file": 1, "run directory": 1}
    assert dict(found.skipped) == expected
    assert sum(unit.stop - unit.start for unit in found.units) == 13


def test_the_fingerprint_follows_every_file(source, tmp_path):
    def fingerprint():
        return ImageTree(source).contents(tmp_path).fingerprint

    first, path = fingerprint(), source / "1" / "2" / "5.jpg"
    assert fingerprint() == first
    status = path.stat()
    path.write_bytes(
        path.read_bytes()[::-1]
    )  # changed in its place, which its folder does not show
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    changed = fingerprint()
    path.rename(source / "1" / "2" / "6.jpg")
    assert len({first, changed, fingerprint()}) == 3


def test_links(source, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    (tmp_path / "others").mkdir()
    (source / "a.jpg").symlink_to(secret)
    (source / "b.jpg").symlink_to("0/0/0.jpg")
    (source / "c.jpg").symlink_to("nowhere.jpg")
    (source / "d").symlink_to(tmp_path / "others")
    (source / "e").symlink_to(".")
    (source / "f.jpg").symlink_to("../photos2/x.jpg")
    (tmp_path / "photos2").mkdir()
    (tmp_path / "photos2" / "x.jpg").write_bytes(b"secret")
    members = {member.id: member for member in read_all(ImageTree(source), tmp_path)}
    assert members["b"].content == photo(0)
    kinds = {key: members[key].problem.partition(":")[0] for key in "acf"}
    assert kinds == {
        "a": "unsafe link",
        "c": "unreadable file",
        "f": "unsafe link",
    }
    assert len(problems(list(members.values()))) == 3
    skipped = ImageTree(source).contents(tmp_path / "work").skipped
    assert dict(skipped) == {"link to a folder": 2}


def test_bad_files(source, tmp_path):
    os.mkfifo(source / "pipe.jpg")
    (source / "empty.jpg").write_bytes(b"")
    with open(source / "huge.jpg", "wb") as file:
        file.truncate(64 * 2**20 + 1)
    with open(os.fsencode(source) + b"/\xff\xfe.jpg", "wb") as file:
        file.write(b"x")
    (source / "line\nbreak.jpg").write_bytes(b"x")
    found = sorted(problems(read_all(ImageTree(source), tmp_path)))
    assert [problem.partition(":")[0] for problem in found] == [
        "empty file",
        "not a file",
        "too large file",
        "unsafe name",
        "unsafe name",
    ]
    assert "67108865 bytes, expected at most 67108864" in found[2]


def test_a_folder_that_goes_away_is_a_problem_not_an_exception(source, tmp_path, small_units):
    units = ImageTree(source).contents(tmp_path).units
    source.rename(tmp_path / "gone")
    members = [member for unit in units for member in ImageTree(source).read(unit)]
    assert [p.partition(":")[0] for p in problems(members)] == ["unreadable folder"] * len(units)


def test_no_photos(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere: no such folder.*--source"):
        ImageTree(tmp_path / "nowhere").contents(tmp_path)
    with pytest.raises(ValueError, match=r"no photos.*--source"):
        ImageTree(tmp_path).contents(tmp_path / "work")


def test_a_unit_is_streamed(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.jpg").write_bytes(bytes(2**20))
    (unit,) = ImageTree(folder).contents(tmp_path).units
    tracemalloc.start()
    count = sum(len(member.content) == 2**20 for member in ImageTree(folder).read(unit))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40 and peak < 4 * 2**20
