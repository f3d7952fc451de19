import stat
import struct
import tracemalloc
import warnings
import zipfile

import pytest

from geosurge_jax.importing.archives.zips import Zips
from tests.importing.archives.conftest import photo, problems, read_all


def write(path, members, method=zipfile.ZIP_DEFLATED):
    """A zip of (name or ZipInfo, content)."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, content in members:
            archive.writestr(name, content)


def kinds(members):
    return [problem.partition(":")[0] for problem in problems(members)]


def good(members):
    return [member.id for member in members if not member.problem]


def patched(path, name, offset, form, value):
    """Change a field of a member's entry in the central directory, and of its local header."""
    content = bytearray(path.read_bytes())
    central = content.rindex(name) - 46
    local = content.index(name) - 30
    struct.pack_into(form, content, central + offset, value)
    struct.pack_into(form, content, local + offset - 2, value)
    path.write_bytes(content)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    for number in range(12):
        members = [
            (f"{number:02d}/{100 * number + n}.jpg", photo(100 * number + n)) for n in range(5)
        ]
        write(
            folder / f"{number:02d}.zip",
            members,
            (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2],
        )
    return folder


def test_each_photo_once(source, tmp_path, small_units):
    members = read_all(Zips(source), tmp_path / "work")
    numbers = [100 * number + n for number in range(12) for n in range(5)]
    assert good(members) == [f"{number // 100:02d}_{number}" for number in numbers]
    assert [member.content for member in members] == [photo(number) for number in numbers]
    assert members[0].where == "00.zip, 00/0.jpg" and problems(members) == []
    assert len(Zips(source).contents(tmp_path / "work").units) == 24
    assert read_all(Zips(source / "03.zip"), tmp_path / "work") == members[15:20]


def test_what_is_not_a_photo_is_not_there(tmp_path):
    names = ["a/", "__MACOSX/._a.jpg", "a/notes.txt", "a/.hidden.jpg", "a/1.JPG"]
    write(tmp_path / "0.zip", [(name, b"x" if name[-1] != "/" else b"") for name in names])
    assert good(read_all(Zips(tmp_path), tmp_path / "work")) == ["a_1"]


def test_unsafe_members_are_problems(tmp_path):
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    names = ["../x.jpg", "a/../../x.jpg", "/etc/x.jpg", "..\\x.jpg", "C:\\x.jpg", "a\nb.jpg"]
    members = [("0.jpg", photo(0)), (link, b"/etc/passwd"), *((name, photo(0)) for name in names)]
    write(tmp_path / "0.zip", [*members, ("empty.jpg", b""), ("ä.jpg", photo(1))])
    found = read_all(Zips(tmp_path), tmp_path / "work")
    assert good(found) == ["0", "ä"]
    assert kinds(found) == ["not a file", *["unsafe name"] * 6, "empty file"]


def test_duplicate_names_all_arrive(tmp_path):
    write(tmp_path / "0.zip", [("a.jpg", photo(1)), ("a.jpg", photo(2))])
    found = read_all(Zips(tmp_path), tmp_path / "work")
    assert [(m.id, m.content) for m in found] == [("a", photo(1)), ("a", photo(2))]


def test_a_bomb_that_declares_its_size(tmp_path):
    bomb = bytes(64 * 2**20 + 1)
    write(tmp_path / "0.zip", [("0.jpg", photo(0)), ("bomb.jpg", bomb), ("1.jpg", photo(1))])
    del bomb
    tracemalloc.start()
    found = read_all(Zips(tmp_path), tmp_path / "work")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert good(found) == ["0", "1"] and kinds(found) == ["too large file"] and peak < 2**20


@pytest.mark.parametrize("declared", [100, 2**21 + 5, 2**32 - 2])
def test_a_size_that_is_not_true(tmp_path, declared):
    write(
        tmp_path / "0.zip", [("0.jpg", photo(0)), ("bomb.jpg", bytes(2**21)), ("1.jpg", photo(1))]
    )
    patched(tmp_path / "0.zip", b"bomb.jpg", 24, "<L", declared)
    tracemalloc.start()
    found = read_all(Zips(tmp_path), tmp_path / "work")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert good(found) == ["0", "1"] and kinds(found)[0] in ("damaged file", "too large file")
    assert peak < (2**20 if declared == 100 else 8 * 2**20)


@pytest.mark.parametrize(
    ("offset", "form", "value", "kind"),
    [
        (8, "<H", 1, "encrypted file"),
        (10, "<H", 14, "compression method 14"),
        (10, "<H", 99, "compression method 99"),
        (16, "<L", 12345, "damaged file"),
    ],
)
def test_bad_entries_do_not_stop_the_others(tmp_path, offset, form, value, kind):
    write(tmp_path / "0.zip", [("0.jpg", photo(0)), ("bad.jpg", photo(5)), ("1.jpg", photo(1))])
    patched(tmp_path / "0.zip", b"bad.jpg", offset, form, value)
    found = read_all(Zips(tmp_path), tmp_path / "work")
    assert good(found) == ["0", "1"] and kinds(found) == [kind]


def test_damaged_content(tmp_path):
    write(tmp_path / "0.zip", [(f"{n}.jpg", photo(n)) for n in range(3)])
    content = bytearray((tmp_path / "0.zip").read_bytes())
    start = content.index(b"1.jpg") + 40
    content[start : start + 100] = b"\xff" * 100
    (tmp_path / "0.zip").write_bytes(content)
    found = read_all(Zips(tmp_path), tmp_path / "work")
    assert good(found) == ["0", "2"] and kinds(found) == ["damaged file"]


def test_a_cut_zip_is_one_problem(source, tmp_path):
    for number, length in enumerate((0, 1, 500, -1, -20, -60)):
        path = source / f"{number:02d}.zip"
        path.write_bytes(path.read_bytes()[:length])
    found = read_all(Zips(source), tmp_path / "work")
    assert kinds(found) == ["damaged archive"] * 6 and len(good(found)) == 30


def test_a_name_that_is_not_utf8(tmp_path):
    write(tmp_path / "0.zip", [("0ä.jpg", photo(0))])
    path = tmp_path / "0.zip"
    path.write_bytes(path.read_bytes().replace("0ä".encode(), b"0\xff\xfe"))
    write(tmp_path / "1.zip", [("1.jpg", photo(1))])
    found = read_all(Zips(tmp_path), tmp_path / "work")
    assert good(found) == ["1"] and kinds(found) == ["damaged archive"]


def test_archives_that_are_none(tmp_path):
    with pytest.raises(ValueError, match=r"no such file or folder.*--source"):
        Zips(tmp_path / "nowhere").contents(tmp_path)
    with pytest.raises(ValueError, match=r"no files \*\.zip.*--source"):
        Zips(tmp_path).contents(tmp_path)
    (tmp_path / "1.zip").symlink_to("nowhere.zip")
    with pytest.raises(ValueError, match=r"1.zip: cannot be read.*--source"):
        Zips(tmp_path).contents(tmp_path)
    (tmp_path / "1.zip").unlink()
    (tmp_path / "0.zip").write_bytes(photo(0))
    with pytest.raises(
        ValueError, match=r"no photos in 1 zips \(File is not a zip file\).*--source"
    ):
        Zips(tmp_path).contents(tmp_path)
    write(tmp_path / "0.zip", [("a.txt", b"x")])
    with pytest.raises(ValueError, match=r"no photos in 1 zips.*--source"):
        Zips(tmp_path).contents(tmp_path)


def test_the_index_is_used_until_a_file_changes(source, tmp_path, monkeypatch):
    work = tmp_path / "work"
    units = Zips(source).contents(work).units
    with monkeypatch.context() as patch:
        patch.setattr("geosurge_jax.importing.archives.zips.cut_into_units", None)
        assert Zips(source).contents(work).units == units
    write(source / "99.zip", [("99/1.jpg", photo(1))])
    assert len(Zips(source).contents(work).units) == len(units) + 1


def test_a_directory_is_listed_once_for_all_units_of_a_zip(tmp_path, small_units, monkeypatch):
    write(tmp_path / "0.zip", [(f"{n}.jpg", photo(n)) for n in range(9)])
    units = Zips(tmp_path).contents(tmp_path / "work").units
    listed = []

    class Counted(zipfile.ZipFile):
        def __init__(self, file):
            listed.append(file)
            super().__init__(file)

    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    read = [member.id for unit in units for member in Zips(tmp_path).read(unit)]
    assert read == [str(n) for n in range(9)] and len(units) == 3 and len(listed) == 1
    monkeypatch.undo()
    write(tmp_path / "0.zip", [("new.jpg", photo(1))])
    assert [member.id for member in Zips(tmp_path).read(units[0])] == ["new"]


def test_a_unit_is_streamed(tmp_path):
    write(tmp_path / "0.zip", [(f"{n}.jpg", bytes(2**20)) for n in range(40)])
    (unit,) = Zips(tmp_path).contents(tmp_path / "work").units
    tracemalloc.start()
    count = sum(len(member.content) == 2**20 for member in Zips(tmp_path).read(unit))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40 and peak < 6 * 2**20
