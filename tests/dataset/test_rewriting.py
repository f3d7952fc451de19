"""The making of one dataset from another: interrupted at any instant, shared among processes, same bytes."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordReader
from tensorflow_datasets.proto import tf_example_pb2

from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.rewriting import Rewrite
from geosurge_jax.dataset.rewritten_shard import NewMap
from geosurge_jax.dataset.shards import NO_MAP
from geosurge_jax.dataset.writer import write_dataset
from geosurge_jax.input.plain_png import write_plain_png

ROOT = Path(__file__).resolve().parents[2]
COUNT = 15


def photo(number: int) -> bytes:
    return write_plain_png(np.full((4 + number, 6), 10 * number, np.uint8))


def make_dataset(directory: Path) -> Path:
    records = [
        Record(
            id=f"r{number}",
            image=photo(number),
            latlng=(number / 3, -number / 7),
            segmentation=photo(3) if number % 2 else None,
            scene=(number % 3, -1, number),
            author=f"Ä {number}",
            licence="CC0",
        )
        for number in range(COUNT)
    ]
    return write_dataset(
        directory,
        "photos",
        "1.0.0",
        {"train": lambda: records[:10], "test": lambda: records[10:]},
        ["wall"],
        {"seed": 0},
        "Some photos.",
        "CC0",
        extra_files=lambda: {"rejected.csv": b"row\n"},
        shard_bytes=500,
    )


def new_map(record) -> NewMap:
    number = int(record.id[1:])
    if number == 4:
        return NewMap(None, "unreadable image: why not")
    return NewMap(write_plain_png(np.full((2, 2), number, np.uint8)))


def change(records):
    """Reads two ahead, as segmenters do."""
    waiting = []
    for record in records:
        waiting.append(record)
        if len(waiting) > 2:
            yield new_map(waiting.pop(0))
    yield from map(new_map, waiting)


def rewrite(old: Path, out: Path, **options) -> Rewrite:
    given = {"name": "photos_maps", "classes": ["a", "b"], "source": {"n": 1}} | options
    return Rewrite(open_dataset(old), out, **given)


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def contents(directory: Path, shards) -> list[bytes]:
    found = []
    for shard in shards:
        reader = ArrayRecordReader(str(directory / shard.file))
        found += reader.read_all()
        reader.close()
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """The result of an undisturbed run, and where it lies."""
    return rewrite(source, tmp_path_factory.mktemp("new")).run(change, "rewriting")


def test_all_but_the_map_stays_the_same_bytes(source, whole):
    old, new = open_dataset(source, verify=True), open_dataset(whole.directory, verify=True)
    assert len(old.manifest.splits["train"]) > 2 and whole.finished
    assert new.manifest.segmentation_classes == ("a", "b")
    assert (new.manifest.name, new.manifest.version) == ("photos_maps", "1.0.0")
    assert (new.manifest.licence, new.manifest.source) == ("CC0", {"n": 1})
    assert (whole.directory / "rejected.csv").read_bytes() == b"row\n"
    for split, shards in old.manifest.splits.items():
        made = new.manifest.splits[split]
        assert [s.records for s in made] == [s.records for s in shards]
        pairs = zip(contents(source, shards), contents(whole.directory, made), strict=True)
        for before, after in pairs:
            examples = [tf_example_pb2.Example.FromString(content) for content in (before, after)]
            for example in examples:
                del example.features.feature["segmentation"]
            one, other = (e.SerializeToString(deterministic=True) for e in examples)
            assert one == other
        np.testing.assert_array_equal(new.split(split).latlng, old.split(split).latlng)
        for record in new.split(split).records:
            number = int(record["id"][1:])
            expected = new_map(dataclasses.make_dataclass("R", ["id"])(record["id"])).content
            assert record["segmentation"] == (expected or NO_MAP), number


def test_what_became_of_records_is_counted(whole):
    counts = whole.counts
    assert (counts.made, counts.without) == (COUNT - 1, {"unreadable image": 1})
    sizes = [len(write_plain_png(np.full((2, 2), n, np.uint8))) for n in range(COUNT) if n != 4]
    assert counts.made_bytes == sum(sizes)


KILLED = """
import os, signal, sys
sys.path.insert(0, "tests/dataset")
from pathlib import Path
from test_rewriting import change, rewrite
import geosurge_jax.dataset.rewriting, geosurge_jax.dataset.rewritten_shard
source, out = map(Path, sys.argv[1:])

def killed_at(number):
    count = 0
    def counted(function):
        def call(*arguments, **options):
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call
    for name in ("replace", "rename", "fsync"):
        setattr(os, name, counted(getattr(os, name)))
    work = rewrite(source, out)
    def slow(records):
        return map(counted(lambda new: new), change(records))
    work.run(slow, "rewriting")
    os._exit(0)

kills, number = 0, 3
while True:
    child = os.fork()
    if not child:
        killed_at(number)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        break
    kills, number = kills + 1, 3 + (number * 7) % 11
print(kills)
"""


def test_a_run_killed_again_and_again_ends_in_the_same_bytes(source, whole, tmp_path):
    command = [sys.executable, "-c", KILLED, str(source), str(tmp_path)]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3
    assert files_of(tmp_path / "photos_maps" / "1.0.0") == files_of(whole.directory)
    assert [path.name for path in (tmp_path / "photos_maps").iterdir()] == ["1.0.0"]


class Interrupted(BaseException):
    pass


def test_a_finished_shard_is_kept_and_no_other(source, whole, tmp_path):
    first = rewrite(source, tmp_path).shards()[0][1].records
    seen = []

    def stopped(records):
        for record in records:
            if len(seen) == first + 1:
                raise Interrupted
            seen.append(record.id)
            yield new_map(record)

    with pytest.raises(Interrupted):
        rewrite(source, tmp_path).run(stopped, "rewriting")
    assert not (tmp_path / "photos_maps" / "1.0.0").exists()
    again = []

    def counted(records):
        for record in records:
            again.append(record.id)
            yield new_map(record)

    result = rewrite(source, tmp_path).run(counted, "rewriting")
    assert len(again) == COUNT - first and seen[0] not in again
    assert files_of(result.directory) == files_of(whole.directory)
    assert result.counts == whole.counts


def test_processes_share_the_shards_and_the_last_one_finishes(source, whole, tmp_path):
    taken = []

    def parts(process):
        def noted(records):
            for record in records:
                taken.append((process, record.id))
                yield new_map(record)

        work = rewrite(source, tmp_path, process=process, processes=3)
        return work.run(noted, "rewriting")

    results = [parts(process) for process in (2, 0, 1)]
    assert [result.finished for result in results] == [False, False, True]
    assert len({process for process, _ in taken}) == 3
    assert sorted(record for _, record in taken) == sorted(f"r{n}" for n in range(COUNT))
    assert files_of(results[-1].directory) == files_of(whole.directory)
    assert results[-1].counts == whole.counts
    later = parts(1)
    assert later.finished and len(taken) == COUNT


def test_another_source_is_refused(source, whole, tmp_path):
    rewrite(source, tmp_path, process=0, processes=2).run(change, "rewriting")
    with pytest.raises(ValueError, match=r"begun from another source \(n: 1, now 2\); delete"):
        rewrite(source, tmp_path, source={"n": 2}).run(change, "rewriting")
    with pytest.raises(ValueError, match="made from another source .n: 1, now 2.; delete"):
        rewrite(source, whole.directory.parents[1], source={"n": 2}).run(change, "rewriting")


def test_a_map_of_two_records_is_refused(source, tmp_path):
    def same(records):
        for record in records:
            claim = "1.png" if record.id in ("r0", "r12") else ""
            yield NewMap(None, "no map", claim)

    with pytest.raises(ValueError, match="1.png: belongs to record 'r0' and to 'r12'"):
        rewrite(source, tmp_path).run(same, "rewriting")


def test_no_record_is_lost_by_maps_that_end_early(source, tmp_path):
    with pytest.raises(RuntimeError, match=r"train.*: 1 contents for \d records"):
        rewrite(source, tmp_path).run(lambda records: iter([new_map(next(records))]), "rewriting")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "A b"}, "dataset name 'A b'"),
        ({"process": 2, "processes": 2}, "process 2 of 2: expected 0 to 1"),
        ({"process": -1}, "process -1 of 1: expected 0 to 0"),
    ],
)
def test_senseless_options(source, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        rewrite(source, tmp_path, **options)


def test_a_damaged_shard_is_named(source, tmp_path):
    broken = tmp_path / "photos" / "1.0.0"
    broken.mkdir(parents=True)
    for name, content in files_of(source).items():
        (broken / name).write_bytes(content)
    work = rewrite(broken, tmp_path / "out")
    path = broken / work.shards()[0][1].file
    content = bytearray(path.read_bytes())
    content[200:240] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path.name}: cannot be read") as caught:
        work.run(change, "rewriting")
    assert "\n" not in str(caught.value)
