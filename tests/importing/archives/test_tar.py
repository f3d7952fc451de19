import io
import os
import pickle
import random
import string
import tarfile
import tracemalloc

import pytest

from geosurge_jax.importing.archives.tar import Tars
from geosurge_jax.importing.archives.tar_parts import tar_files
from tests.importing.archives.conftest import photo, problems, read_all


def packed(members, form=tarfile.GNU_FORMAT) -> bytes:
    """A tar of (name, content) or of tarfile.TarInfo."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return file.getvalue()


def special(name, kind, target="") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def kinds(members):
    return [problem.partition(":")[0] for problem in problems(members)]


def good(members):
    return [member.id for member in members if not member.problem]


PHOTOS = [(f"a/b/{number}.jpg", photo(number)) for number in range(10)]
IDS = [f"a_b_{number}" for number in range(10)]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_each_photo_once(tmp_path, form, small_units):
    names = [
        f"./{'long/' * 30}{number}.jpg" if number % 2 else name
        for number, (name, _) in enumerate(PHOTOS)
    ]
    if form == tarfile.PAX_FORMAT:
        names[3] = "ä/ö/3.jpg"
    folder = special("a/b", tarfile.DIRTYPE)
    others = [("README.txt", b"text"), ("._0.jpg", b"resource fork")]
    content = packed([folder, *others, *((name, photo(n)) for n, name in enumerate(names))], form)
    (tmp_path / "photos.tar").write_bytes(content)
    members = read_all(Tars(tmp_path), tmp_path)
    expected = [name.removeprefix("./").removesuffix(".jpg").replace("/", "_") for name in names]
    assert good(members) == expected and problems(members) == []
    assert [member.content for member in members] == [photo(n) for n in range(10)]
    assert members[0].where == "photos.tar, a/b/0.jpg"
    assert len(Tars(tmp_path).contents(tmp_path).units) == 4


def cut(content, pieces):
    length = -(-len(content) // pieces)
    return [content[start : start + length] for start in range(0, len(content), length)]


@pytest.mark.parametrize(
    "suffixes",
    [
        [f".{number:02d}" for number in range(12)],
        [f".part{number}" for number in range(1, 13)],
        [f".a{letter}" for letter in "abcdefghijkl"],
        [f".{number:03d}" for number in range(1, 13)],
        [f"-part-{number}" for number in range(12)],
    ],
)
def test_parts_are_read_as_one(tmp_path, suffixes, small_units):
    folder = tmp_path / "parts"
    folder.mkdir()
    for suffix, piece in zip(suffixes, cut(packed(PHOTOS), 12), strict=True):
        (folder / f"photos.tar{suffix}").write_bytes(piece)
    (folder / "photos.tar.md5").write_text("digest")
    members = read_all(Tars(folder), tmp_path)
    assert good(members) == IDS and problems(members) == []
    assert [member.content for member in members] == [content for _, content in PHOTOS]
    one = read_all(Tars(folder / f"photos.tar{suffixes[5]}"), tmp_path)
    assert one == members


def test_a_missing_part_is_told(tmp_path):
    for number, piece in enumerate(cut(packed(PHOTOS), 4)):
        (tmp_path / f"photos.tar.{number:02d}").write_bytes(piece)
    (tmp_path / "photos.tar.02").rename(tmp_path / "kept")
    with pytest.raises(ValueError, match=r"photos.tar.01: the part after it is missing.*--source"):
        Tars(tmp_path).contents(tmp_path / "work")
    (tmp_path / "kept").rename(tmp_path / "photos.tar.02")
    (tmp_path / "photos.tar.00").rename(tmp_path / "kept")
    (tmp_path / "photos.tar.01").rename(tmp_path / "photos.tar.04")
    with pytest.raises(
        ValueError, match=r"photos.tar.02: the parts before it are missing.*--source"
    ):
        Tars(tmp_path).contents(tmp_path / "work")


def test_numbers_as_split_counts_on():
    letters = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]
    letters = letters[: letters.index("yz") + 1] + ["zaaa", "zaab"]
    digits = [f"{number:02d}" for number in range(90)] + ["9000", "9001"]
    for numbers in (letters, digits):
        parts = [f"x.tar.{number}" for number in numbers]
        shuffled = random.Random(0).sample(parts, len(parts))
        assert tar_files(shuffled) == {parts[0]: parts}
        for lost in (1, 50, len(parts) - 2):
            with pytest.raises(ValueError, match="the part after it is missing"):
                tar_files(parts[:lost] + parts[lost + 1 :])


def test_a_part_may_be_named_gz(tmp_path):
    letters = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]
    pieces = cut(packed(PHOTOS), 190)
    assert len(pieces) > letters.index("gz")
    for number, piece in enumerate(pieces):
        (tmp_path / f"photos.tar.{letters[number]}").write_bytes(piece)
    assert good(read_all(Tars(tmp_path), tmp_path / "work")) == IDS


def test_files_of_another_kind_beside_a_tar(tmp_path):
    for name in ("photos.tar.idx", "photos.tar.sha", "photos.tar.md", "photos.tar.md5"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "photos.tar").write_bytes(packed(PHOTOS))
    assert good(read_all(Tars(tmp_path), tmp_path / "work")) == IDS


def test_a_tar_beside_its_parts(tmp_path):
    for name in ("photos.tar", "photos.tar.00"):
        (tmp_path / name).write_bytes(packed(PHOTOS))
    with pytest.raises(ValueError, match=r"photos.tar lies beside its parts"):
        Tars(tmp_path).contents(tmp_path / "work")


def test_tars_are_read_in_the_order_of_numbers(tmp_path):
    for number in reversed(range(11)):
        (tmp_path / f"{number}.tar").write_bytes(packed([(f"{number}.jpg", photo(number))]))
    assert good(read_all(Tars(tmp_path), tmp_path / "work")) == [
        str(number) for number in range(11)
    ]


def sample(number, order=(".jpg", ".json", ".npy")):
    content = {
        ".jpg": photo(number),
        ".png": photo(number),
        ".json": b'{"latitude": 1.%d0, "id": %d, "nested": [1], "none": null, "ok": true}'
        % (number, number),
        ".npy": b"pickled" * 100,
    }
    return [(f"{number:04d}{suffix}", content[suffix]) for suffix in order]


@pytest.mark.parametrize("order", [(".jpg", ".json", ".npy"), (".json", ".npy", ".png")])
def test_webdataset(tmp_path, order, small_units):
    members = [member for number in range(10) for member in sample(number, order)]
    (tmp_path / "0.tar").write_bytes(packed(members))
    found = read_all(Tars(tmp_path), tmp_path / "work")
    assert good(found) == [f"{number:04d}" for number in range(10)]
    assert [member.content for member in found] == [photo(number) for number in range(10)]
    expected = {"latitude": "1.70", "id": "7", "none": "", "ok": "true"}
    assert found[7].values == expected


def test_names_with_dots_keep_their_own_json(tmp_path):
    content = [
        ("a.1.jpg", photo(1)),
        ("a.1.json", b'{"n": 1}'),
        ("a.2.jpg", photo(2)),
        ("a.2.json", b'{"n": 2}'),
    ]
    (tmp_path / "0.tar").write_bytes(packed(content))
    members = read_all(Tars(tmp_path), tmp_path / "work")
    assert [(m.id, dict(m.values)) for m in members] == [("a.1", {"n": "1"}), ("a.2", {"n": "2"})]


def test_bad_json(tmp_path):
    texts = [
        b"{",
        b"[1]",
        b"\xff",
        b"[" * 100000,
        b'{"a": ' * 100000,
        b'{"a": "' + b"x" * 2**20 + b'"}',
        b"",
    ]
    content = [
        member
        for number, text in enumerate(texts)
        for member in ((f"{number}.jpg", photo(number)), (f"{number}.json", text))
    ]
    huge = b'{"n": 1' + b"0" * 5000 + b', "x": NaN}'
    content += [("ok.jpg", photo(9)), ("ok.json", huge), ("json.json", b"{}")]
    (tmp_path / "0.tar").write_bytes(packed(content))
    members = read_all(Tars(tmp_path), tmp_path / "work")
    assert kinds(members) == ["unreadable values"] * len(texts) and good(members) == ["ok"]
    assert members[-1].values == {"n": "1" + "0" * 5000, "x": "NaN"}


def test_unsafe_members_are_problems(tmp_path):
    bad = [
        *(
            special(f"{kind}.jpg", getattr(tarfile, kind), "a/b/0.jpg")
            for kind in ("LNKTYPE", "SYMTYPE")
        ),
        *(
            special(f"{kind}.jpg", getattr(tarfile, kind))
            for kind in ("CHRTYPE", "BLKTYPE", "FIFOTYPE")
        ),
        *(
            (name, photo(0))
            for name in ("../x.jpg", "a/../../x.jpg", "/etc/x.jpg", "..\\x.jpg", "C:/x.jpg")
        ),
        ("a\nb.jpg", photo(0)),
        (b"\xff\xfe.jpg".decode("utf-8", "surrogateescape"), photo(0)),
        ("empty.jpg", b""),
        ("\U0001f30d.jpg", photo(1)),
    ]
    (tmp_path / "0.tar").write_bytes(packed([PHOTOS[0], *bad, PHOTOS[1]]))
    members = read_all(Tars(tmp_path), tmp_path / "work")
    assert good(members) == ["a_b_0", "\U0001f30d", "a_b_1"]
    assert kinds(members) == [*["not a file"] * 5, *["unsafe name"] * 7, "empty file"]


def test_duplicate_names_all_arrive(tmp_path):
    (tmp_path / "0.tar").write_bytes(
        packed([("a.jpg", photo(1)), ("a.jpg", photo(2)), ("a.jpg", photo(3))])
    )
    members = read_all(Tars(tmp_path), tmp_path / "work")
    assert [(m.id, m.content) for m in members] == [("a", photo(n)) for n in (1, 2, 3)]


def test_every_cut_keeps_what_came_before(tmp_path):
    whole = packed(PHOTOS[:2])
    ends = {512 + len(photo(0)): 1, 512 + 1024 + 512 + len(photo(1)): 2}
    assert len(photo(0)) in range(513, 1025)
    (tmp_path / "1.tar").write_bytes(packed(PHOTOS[2:3]))
    for length in [*range(0, 3 * 1024, 128), *ends, *(end - 1 for end in ends)]:
        (tmp_path / "0.tar").write_bytes(whole[:length])
        members = read_all(Tars(tmp_path), tmp_path / "work")
        count = sum(end <= length for end in ends)
        assert good(members) == [*IDS[:count], IDS[2]]
        assert kinds(members) == ["truncated archive"]


def test_after_damage_the_search_goes_on(tmp_path, small_units):
    content = bytearray(packed(PHOTOS))
    header = content.index(b"a/b/3.jpg")
    content[header + 148] ^= 1  # in the checksum
    other = content.index(b"a/b/7.jpg")
    content[other : other + 512] = b"\xff" * 512
    (tmp_path / "0.tar").write_bytes(content)
    members = read_all(Tars(tmp_path), tmp_path / "work")
    assert good(members) == [*IDS[:3], *IDS[4:7], *IDS[8:]]
    assert kinds(members) == ["damaged archive"] * 2


@pytest.mark.parametrize("size", [64 * 2**20 + 1, 2**33, 2**62, 2**80, -1])
def test_huge_declared_sizes(tmp_path, size):
    info = tarfile.TarInfo("bomb.jpg")
    info.size = size
    head = packed(PHOTOS[:1])[: 512 + 1024]
    bomb = bytearray(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
    (tmp_path / "0.tar").write_bytes(head + bytes(bomb) + packed(PHOTOS[1:]))
    tracemalloc.start()
    members = read_all(Tars(tmp_path), tmp_path / "work")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert good(members) == IDS and len(kinds(members)) == 1
    assert kinds(members)[0] in ("truncated archive", "damaged archive")
    assert peak < 8 * 2**20


def test_a_large_member_that_is_there(tmp_path):
    with (tmp_path / "0.tar").open("wb") as file:
        info = tarfile.TarInfo("large.jpg")
        info.size = 64 * 2**20 + 512
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(512 + info.size)
        file.seek(512 + info.size)
        file.write(packed(PHOTOS))
    members = read_all(Tars(tmp_path), tmp_path / "work")
    assert kinds(members) == ["too large file"] and good(members) == IDS


@pytest.mark.parametrize(
    "records",
    [
        b"xx path=a\n",
        b"9999999999 path=a\n",
        b"12 path=a.jpg",
        b"16 size=12x4567\n",
        b"22 GNU.sparse.major=1\n",
    ],
)
def test_bad_pax_headers(tmp_path, records):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    extended = header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0")
    (tmp_path / "0.tar").write_bytes(extended + packed(PHOTOS))
    members = read_all(Tars(tmp_path), tmp_path / "work")
    assert len(kinds(members)) == 1 and good(members)[-9:] == IDS[1:]


def test_a_folder_with_a_size_has_no_content(tmp_path):
    folder = special("a/b", tarfile.DIRTYPE)
    folder.size = 4096
    link = special("a/c.jpg", tarfile.LNKTYPE, "a/b/0.jpg")
    link.size = 4096
    (tmp_path / "0.tar").write_bytes(packed([folder, link, *PHOTOS]))
    members = read_all(Tars(tmp_path), tmp_path / "work")
    assert kinds(members) == ["not a file"] and good(members) == IDS


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_huge_long_name_is_not_read(tmp_path, kind):
    header = special("long", kind)
    header.size = 16 * 2**20
    with (tmp_path / "0.tar").open("wb") as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        file.seek(header.size, 1)
        file.write(packed(PHOTOS))
    tracemalloc.start()
    members = read_all(Tars(tmp_path), tmp_path / "work")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kinds(members) == ["damaged archive"] and good(members) == IDS and peak < 8 * 2**20


def test_concatenated_tars_are_read_on(tmp_path):
    (tmp_path / "0.tar").write_bytes(packed(PHOTOS[:5]) + packed(PHOTOS[5:]))
    members = read_all(Tars(tmp_path), tmp_path / "work")
    assert good(members) == IDS and problems(members) == []


def test_small_photos_stay(tmp_path):
    (tmp_path / "0.tar").write_bytes(packed([("a.jpg", b"\xff")]))
    assert read_all(Tars(tmp_path), tmp_path / "work")[0].content == b"\xff"


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("pickle-was-read",)


def test_a_pickled_index_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.tar").write_bytes(packed(PHOTOS))
    (tmp_path / "tar_index.pkl").write_bytes(pickle.dumps(Bomb()))
    assert good(read_all(Tars(tmp_path), tmp_path / "work")) == IDS
    assert not (tmp_path / "pickle-was-read").exists()


@pytest.mark.parametrize("name", ["photos.tar.gz", "photos.tgz", "photos.tar", "photos.tar.gz.00"])
def test_compressed_tars_are_refused(tmp_path, name):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz"):
        pass
    (tmp_path / name).write_bytes(file.getvalue())
    with pytest.raises(
        ValueError, match=r"compressed.*, expected a plain tar; decompress it first.*--source"
    ):
        Tars(tmp_path).contents(tmp_path / "work")
    with pytest.raises(ValueError, match=r"compressed by gzip"):
        Tars(tmp_path / name).contents(tmp_path / "work")


def test_an_unpacked_twin_makes_up_for_a_compressed_tar(tmp_path):
    (tmp_path / "photos.tar").write_bytes(packed(PHOTOS))
    (tmp_path / "photos.tar.gz").write_bytes(b"\x1f\x8b")
    assert good(read_all(Tars(tmp_path), tmp_path / "work")) == IDS


def test_archives_that_are_none(tmp_path):
    with pytest.raises(ValueError, match=r"no such file or folder.*--source"):
        Tars(tmp_path / "nowhere").contents(tmp_path)
    with pytest.raises(ValueError, match=r"no files \*\.tar.*--source"):
        Tars(tmp_path).contents(tmp_path)
    (tmp_path / "1.tar").symlink_to("nowhere.tar")
    with pytest.raises(ValueError, match=r"1.tar: cannot be read.*--source"):
        Tars(tmp_path).contents(tmp_path)
    (tmp_path / "1.tar").unlink()
    for content in (b"", bytes(10240), photo(0), packed([("a.txt", b"x")])):
        (tmp_path / "0.tar").write_bytes(content)
        with pytest.raises(ValueError, match=r"no photos in 1 tars.*--source"):
            Tars(tmp_path).contents(tmp_path)


def test_the_index_is_used_until_a_file_changes(tmp_path, monkeypatch):
    work = tmp_path / "work"
    (tmp_path / "0.tar").write_bytes(packed(PHOTOS))
    units = Tars(tmp_path).contents(work).units
    with monkeypatch.context() as patch:
        patch.setattr("geosurge_jax.importing.archives.tar.cut_into_units", None)
        assert Tars(tmp_path).contents(work).units == units
    os.utime(tmp_path / "0.tar", ns=(0, 0))
    with monkeypatch.context() as patch, pytest.raises(TypeError):
        patch.setattr("geosurge_jax.importing.archives.tar.cut_into_units", None)
        Tars(tmp_path).contents(work)
    (tmp_path / "1.tar").write_bytes(packed(PHOTOS))
    assert len(Tars(tmp_path).contents(work).units) == 2


def test_a_file_cut_after_the_index_was_made(tmp_path, small_units):
    file = tmp_path / "0.tar"
    file.write_bytes(packed(PHOTOS))
    units = Tars(tmp_path).contents(tmp_path / "work").units
    file.write_bytes(file.read_bytes()[:2000])
    members = [member for unit in units for member in Tars(tmp_path).read(unit)]
    assert good(members) == IDS[:1] and set(kinds(members)) == {"truncated archive"}
    file.unlink()
    members = [member for unit in units for member in Tars(tmp_path).read(unit)]
    assert kinds(members) == ["unreadable file"] * len(units)


def test_a_unit_is_streamed(tmp_path):
    content = bytes(2**20)
    for number, piece in enumerate(cut(packed([(f"{n}.jpg", content) for n in range(40)]), 7)):
        (tmp_path / f"0.tar.{number}").write_bytes(piece)
    (unit,) = Tars(tmp_path).contents(tmp_path / "work").units
    before = len(os.listdir("/proc/self/fd"))
    tracemalloc.start()
    count = most_open = 0
    for member in Tars(tmp_path).read(unit):
        count += len(member.content) == 2**20
        most_open = max(most_open, len(os.listdir("/proc/self/fd")) - before)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40 and peak < 6 * 2**20 and most_open == 1
