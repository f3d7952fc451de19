import tracemalloc

import msgpack
import pytest

from geosurge_jax.importing.archives.message_pack import MessagePackShards
from geosurge_jax.importing.archives.message_pack_items import items
from tests.importing.archives.conftest import photo, problems, read_all


def item(number: int) -> bytes:
    return msgpack.packb({"image": photo(number), "id": f"a/b/{number}.jpg"})


def kinds(members):
    return [problem.partition(":")[0] for problem in problems(members)]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(11):
        (folder / f"shard_{shard}.msg").write_bytes(item(2 * shard) + item(2 * shard + 1))
    return folder


def test_photos_in_the_order_of_numbers(source, tmp_path):
    (source / "notes.txt").write_text("no shard")
    members = read_all(MessagePackShards(source), tmp_path)
    assert [member.id for member in members] == [f"a_b_{number}" for number in range(22)]
    assert [member.content for member in members] == [photo(number) for number in range(22)]
    assert problems(members) == [] and all(member.values == {} for member in members)
    assert members[1].where == f"shard_0.msg, byte {len(item(0))}"


def test_keys_and_ids_of_text_and_bytes(tmp_path):
    file = tmp_path / "one.msg"
    content = [
        msgpack.packb({b"image": photo(0), b"id": b"a/b/0.jpg"}),
        msgpack.packb({"id": "a/b/1.jpg", "image": photo(1), "extra": [1.5, None, {"x": -3}]}),
        msgpack.packb({"image": photo(2), "id": "a/b/2.jpg"}, use_bin_type=False),
    ]
    file.write_bytes(b"".join(content))
    members = read_all(MessagePackShards(file), tmp_path)
    assert [(m.id, m.content) for m in members] == [(f"a_b_{n}", photo(n)) for n in range(3)]


def test_units_of_a_large_shard(tmp_path, small_units):
    file = tmp_path / "one.msg"
    file.write_bytes(b"".join(item(number) for number in range(10)))
    units = MessagePackShards(file).contents(tmp_path).units
    counts = [len(list(MessagePackShards(file).read(unit))) for unit in units]
    assert sum(counts) == 10 and max(counts) == 3
    assert [m.id for m in read_all(MessagePackShards(file), tmp_path)] == [
        f"a_b_{number}" for number in range(10)
    ]


def test_every_cut_of_a_shard_keeps_what_came_before(tmp_path):
    file = tmp_path / "one.msg"
    whole = item(0) + item(1)
    for length in [*range(0, len(item(0)), 61), *range(len(item(0)) + 1, len(whole), 61)]:
        (tmp_path / "two.msg").write_bytes(item(2))
        file.write_bytes(whole[:length])
        members = read_all(MessagePackShards(tmp_path), tmp_path)
        expected = ["a_b_0"] if length > len(item(0)) else []
        assert [m.id for m in members if not m.problem] == [*expected, "a_b_2"]
        assert kinds(members) == ["truncated archive"]


def test_bad_items_do_not_stop_the_others(tmp_path):
    file = tmp_path / "one.msg"
    bad = [
        {},
        {"image": photo(0)},
        {"image": photo(0), "id": 5},
        {"image": 5, "id": "x"},
        {"image": photo(0), "id": "../x.jpg"},
        {"image": photo(0), "id": "/etc/x.jpg"},
        {"image": photo(0), "id": "a\nb.jpg"},
        {"image": photo(0), "id": b"\xff\xfe.jpg"},
        {"image": photo(0), "id": ""},
        {"image": b"", "id": "x"},
        {"image": bytes(64 * 2**20 + 1), "id": "x"},
    ]
    packed = [msgpack.packb(content) for content in bad]
    packed.append(b"\x82" + b"\x80\x01" + b"\x90\x02")  # a map and a list as keys
    file.write_bytes(item(1) + b"".join(packed) + item(2))
    members = read_all(MessagePackShards(file), tmp_path)
    assert [m.id for m in members if not m.problem] == ["a_b_1", "a_b_2"]
    assert kinds(members) == [
        *["unknown item"] * 4,
        *["unsafe name"] * 5,
        "empty file",
        "too large file",
        "unknown item",
    ]


@pytest.mark.parametrize(
    "bad",
    [
        b"\xc1",
        b"\x05",
        b"\x81\xc1",
        b"\xdf\xff\xff\xff\xff" + bytes(4000),
        b"\x81\xc6\xff\xff\xff\xff",
        b"GIF89a" * 100,
    ],
)
def test_after_damage_the_rest_is_one_problem(tmp_path, bad):
    file = tmp_path / "one.msg"
    file.write_bytes(item(0) + bad + item(1))
    members = read_all(MessagePackShards(file), tmp_path)
    assert members[0].content == photo(0) and len(members) == 2
    assert kinds(members)[0] in ("damaged archive", "truncated archive")


def test_an_item_of_many_objects_is_no_photo(tmp_path):
    file = tmp_path / "one.msg"
    file.write_bytes(
        item(0) + msgpack.packb({str(number): None for number in range(600)}) + item(1)
    )
    assert kinds(read_all(MessagePackShards(file), tmp_path)) == ["damaged archive"]


def test_a_large_item_is_not_read(tmp_path):
    path = tmp_path / "one.msg"
    size = 80 * 2**20
    with path.open("wb") as file:
        file.write(b"\x82\xa2id\xa1x\xa5image\xc6" + size.to_bytes(4, "big"))
        file.seek(size, 1)
        file.write(item(1))
    tracemalloc.start()
    members = read_all(MessagePackShards(path), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kinds(members) == ["too large file"] and members[1].id == "a_b_1" and peak < 2**20


def test_what_steps_over_agrees_with_the_library(tmp_path):
    values = [
        *(None, True, False, 0, 127, 128, 2**16, 2**32, -1, -33, -(2**20), -(2**40), 0.5),
        *("", "x" * 31, "x" * 32, "x" * 256, "x" * 70000),
        *(b"", b"x" * 256, b"x" * 70000),
        *([], [1] * 15, [1] * 16, {}, {str(n): n for n in range(16)}, [[[{"a": [b"x"]}]]]),
        *(msgpack.ExtType(5, bytes(n)) for n in (1, 2, 4, 8, 16, 3, 300, 70000)),
    ]
    packed = [msgpack.packb({"value": value}) for value in values]
    packed += [msgpack.packb({"value": 0.5}, use_single_float=True)]
    file = tmp_path / "one.msg"
    file.write_bytes(b"".join(packed))
    with file.open("rb") as opened:
        found = list(items(opened, 0, file.stat().st_size, file.stat().st_size))
    assert [item.end - item.begin for item in found] == [len(content) for content in packed]


def test_an_archive_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"no such file or folder.*--source"):
        MessagePackShards(tmp_path / "nowhere").contents(tmp_path)
    with pytest.raises(ValueError, match=r"no files \*\.msg.*--source"):
        MessagePackShards(tmp_path).contents(tmp_path)
    (tmp_path / "one.msg").write_bytes(photo(0))
    with pytest.raises(ValueError, match=r"none of 1 files begins with a map.*--source"):
        MessagePackShards(tmp_path).contents(tmp_path)


def test_a_lost_file_is_a_problem(source, tmp_path):
    units = MessagePackShards(source).contents(tmp_path).units
    (source / "shard_3.msg").unlink()
    members = [m for unit in units for m in MessagePackShards(source).read(unit)]
    assert kinds(members) == ["unreadable file"] and len(members) == 21


def test_a_unit_is_streamed(tmp_path):
    file = tmp_path / "one.msg"
    packed = msgpack.packb({"image": bytes(2**20), "id": "x"})
    file.write_bytes(packed * 40)
    (unit,) = MessagePackShards(file).contents(tmp_path).units
    tracemalloc.start()
    count = sum(len(member.content) == 2**20 for member in MessagePackShards(file).read(unit))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40 and peak < 6 * 2**20
