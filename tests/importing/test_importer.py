import contextlib
import csv
import dataclasses
from collections import Counter

import numpy as np
import pytest

from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.importing import gather as gather_room
from geosurge_jax.importing import scatter as scatter_room
from geosurge_jax.importing.archives.contract import photo_id
from geosurge_jax.importing.importer import REJECTED_FILE, Import, import_archive
from geosurge_jax.importing.near_copies import NEAR_COPIES_FILE
from geosurge_jax.importing.runners import on_this_machine
from geosurge_jax.importing.table import open_table
from geosurge_jax.input.images import decode_image
from tests.importing.photos import BAD, BAD_ROWS, GOOD, Listed, everything, jpeg, table_text

FRACTIONS = {"train": 0.8, "validation": 0.2}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "mp16.csv"
    path.write_text(table_text(), encoding="utf-8", newline="")
    return open_table(path, {}, ("latitude", "longitude"))


def job(table, archive, **fields):
    options = dict(
        name="mp16",
        version="2.0.0",
        fractions=FRACTIONS,
        seed=0,
        short_side=200,
        quality=90,
        description="Generated.",
        licence="none",
        shard_bytes=20_000,
    )
    return Import(archive=archive, table=table, **{**options, **fields})


@pytest.fixture(scope="module")
def imported(table, tmp_path_factory):
    directory = tmp_path_factory.mktemp("datasets")
    return import_archive(directory, job(table, everything()), on_this_machine(1))


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def records(directory):
    dataset = open_dataset(directory, verify=True)
    return {record["id"]: record for split in FRACTIONS for record in dataset.split(split).records}


def test_all_good_photos_arrive_with_their_rows(imported):
    found = records(imported)
    assert set(found) == {photo_id(name) for name in GOOD}
    rows = {row["IMG_ID"]: row for row in csv.DictReader(table_text()[1:].splitlines(True))}
    for name in GOOD:
        record, row = found[photo_id(name)], rows[name]
        if name != list(GOOD)[3]:  # listed twice; DictReader's second line would win
            assert record["latlng"].tolist() == [float(row["LAT"]), float(row["LON"])]
            assert record["author"] == row["AUTHOR"].replace("\r\n", "\n")
            assert record["scene"].tolist() == [int(row[f"S{n}_Label"]) for n in (3, 16, 365)]
        assert decode_image(record["image"]).ndim == 3
    assert found["04_0004"]["image"][:20] == GOOD["04/0004.jpg"][:20], "kept as it was"
    assert decode_image(found["turned_1"]["image"]).shape == (64, 48, 3)
    assert decode_image(found["large_1"]["image"]).shape == (200, 267, 3)


def test_what_does_not_arrive_is_named(imported):
    with (imported / REJECTED_FILE).open(newline="") as file:
        listed = list(csv.DictReader(file))
    kinds = Counter((row["id"], row["reason"].partition(":")[0]) for row in listed)
    expected = Counter((photo_id(name), kind) for name, (_, kind) in BAD.items())
    expected += Counter((photo_id(name), kind) for name, (_, kind) in BAD_ROWS.items())
    expected[photo_id(list(GOOD)[3]), "duplicate id"] += 1
    assert kinds == expected
    manifest = open_dataset(imported).manifest
    assert Counter(manifest.summary["rejected"]) == Counter(
        row["reason"].partition(":")[0] for row in listed
    )
    assert sum(map(manifest.count, manifest.splits)) == len(GOOD)
    lines = manifest.summary["histogram"]["train"]
    counts = np.array([[int(count) for count in line.split()] for line in lines])
    assert counts.shape == (18, 36) and counts.sum() == manifest.count("train")
    latitude, longitude = open_dataset(imported).split("train").latlng[0]
    assert counts[int(latitude + 90) // 10, int(longitude + 180) // 10] > 0


def test_photos_are_shuffled_and_authors_stay_together(imported):
    dataset = open_dataset(imported)
    ids = [record["id"] for record in dataset.split("train").records]
    assert ids != sorted(ids)
    authors = [{r["author"] for r in dataset.split(split).records} - {""} for split in FRACTIONS]
    assert authors[0] and authors[1] and not authors[0] & authors[1]
    counts = [shard.records for shard in dataset.manifest.splits["train"]]
    assert len(counts) > 2 and max(counts) < 2 * np.mean(counts)


def test_neither_workers_nor_units_change_a_byte_of_the_shards(table, imported, tmp_path):
    other = import_archive(tmp_path / "a", job(table, everything()), on_this_machine(2))
    assert contents(other) == contents(imported)
    recut = import_archive(tmp_path / "b", job(table, everything(7)), on_this_machine(1))
    shards = {name: data for name, data in contents(imported).items() if "array_record" in name}
    assert len(shards) > 3 and shards.items() <= contents(recut).items()


def test_another_seed_is_another_order(table, imported, tmp_path):
    other = import_archive(tmp_path, job(table, everything(), seed=1), on_this_machine(1))
    assert set(records(other)) == set(records(imported))
    ids = [[r["id"] for r in open_dataset(d).split("train").records] for d in (other, imported)]
    assert ids[0] != ids[1] and set(ids[0]) == set(ids[1])


class Stop(Exception):
    pass


def stopping_once(worked, count):
    """A runner that fails, as if the machine had, once so many pieces are done."""

    def run(work, pieces, description):
        for piece in pieces:
            if len(worked) >= count:
                raise Stop
            work(piece)

    return run


def test_an_interrupted_import_goes_on(table, imported, tmp_path, monkeypatch):
    worked = []
    for room, marker in ((scatter_room, "write_chunk"), (gather_room, "finished_shard")):
        original = getattr(room, marker)

        def counted(*arguments, original=original):
            worked.append(1)
            return original(*arguments)

        monkeypatch.setattr(room, marker, counted)
    starts = 0
    while not (tmp_path / "mp16" / "2.0.0").exists() and starts < 20:
        starts += 1
        with contextlib.suppress(Stop):
            import_archive(tmp_path, job(table, everything()), stopping_once(worked, 4 * starts))
    assert starts > 2
    assert contents(tmp_path / "mp16" / "2.0.0") == contents(imported)
    pieces = len(everything().contents(tmp_path).units) + sum(
        len(shards) for shards in open_dataset(imported).manifest.splits.values()
    )
    assert len(worked) == pieces, "no piece was done twice"
    assert not list((tmp_path / "mp16").glob(".*")), "nothing is left behind"


def test_a_finished_dataset_is_returned_and_another_source_refused(table, imported):
    before = contents(imported)
    directory = imported.parent.parent
    assert import_archive(directory, job(table, everything()), stopping_once([], 0)) == imported
    with pytest.raises(ValueError, match=r"another source: seed was 0 and is now 5; .*--rebuild"):
        import_archive(directory, job(table, everything(), seed=5), on_this_machine(1))
    assert contents(imported) == before


def test_a_dataset_of_another_source_is_replaced_where_it_is_asked_for(table, tmp_path):
    first = import_archive(tmp_path, job(table, everything(), seed=1), on_this_machine(1))
    before = contents(first)
    with pytest.raises(Stop):
        new = job(table, everything(), seed=2)
        import_archive(tmp_path, new, stopping_once([], 0), rebuild=True)
    assert contents(first) == before, "until the new one is whole"
    third = job(table, everything(), seed=3)
    assert import_archive(tmp_path, third, on_this_machine(1), rebuild=True) == first
    assert set(records(first)) == {photo_id(name) for name in GOOD}
    assert open_dataset(first).manifest.source["seed"] == 3
    assert not list((tmp_path / "mp16").glob(".*")), "nothing is left behind"


def test_every_file_is_accounted_for(table, tmp_path, caplog):
    caplog.set_level("INFO", "geosurge_jax")
    import_archive(tmp_path, job(table, everything()), on_this_machine(1))
    line = caplog.messages[-1]
    assert f"{len(GOOD) + len(BAD) + 2} files seen: {len(GOOD)} stored, {len(BAD)} rejected" in line
    assert "10 placeholder" in line and "2 skipped (2 .txt)" in line
    assert f"; {len(BAD_ROWS) + 1} rows rejected or without a file" in line


def test_near_copies_stay_in_one_split(tmp_path):
    """A re-encoded and a byte-identical copy of every photo, under other authors and places."""
    names = [f"{n}{kind}.jpg" for n in range(24) for kind in ("", "-copy", "-small")]
    rows = [f"{name},{n % 80 + 1},{2 * n % 90},author {n}" for n, name in enumerate(names)]
    (tmp_path / "t.csv").write_text("\n".join(["file,lat,lon,author", *rows]))
    given = open_table(tmp_path / "t.csv", {}, ("latitude", "longitude"))
    members = [
        (name, jpeg(n // 3, quality=50, height=40, width=53) if n % 3 == 2 else jpeg(n // 3))
        for n, name in enumerate(names)
    ]
    directory = import_archive(tmp_path, job(given, Listed(members, 7)), on_this_machine(1))
    dataset = open_dataset(directory)
    homes = {record["id"]: split for split in FRACTIONS for record in dataset.split(split).records}
    assert len(homes) == 72 and len(set(homes.values())) > 1
    assert all(homes[f"{n}"] == homes[f"{n}-copy"] == homes[f"{n}-small"] for n in range(24))
    with (directory / NEAR_COPIES_FILE).open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [(int(row["group"]), row["id"]) for row in listed[:4]] == [
        *((0, "0"), (0, "0-copy"), (0, "0-small"), (1, "1"))
    ]
    apart = job(given, Listed(members, 7), near_copy_bits=0, name="apart")
    assert "another" not in str(import_archive(tmp_path, apart, on_this_machine(1)))


def test_an_interrupted_import_of_another_source_is_not_mixed_in(table, tmp_path):
    with pytest.raises(Stop):
        import_archive(tmp_path, job(table, everything()), stopping_once([], 0))
    with pytest.raises(
        ValueError, match=r"interrupted import of another source: quality was 90 and"
    ):
        import_archive(tmp_path, job(table, everything(), quality=80), on_this_machine(1))


def test_an_archive_may_say_itself_where_photos_were_taken(tmp_path):
    values = {f"{n}.jpg": {"LAT": f"{n}.5", "lon": "-7.25", "user_id": f"u{n}"} for n in range(9)}
    archive = Listed(
        [(name, jpeg(n)) for n, name in enumerate(values)] + [("x", jpeg(9))], 4, values
    )
    directory = import_archive(
        tmp_path, job(None, archive, fractions={"train": 1.0}), on_this_machine(1)
    )
    found = {r["id"]: r for r in open_dataset(directory).split("train").records}
    assert len(found) == 9 and found["3"]["latlng"].tolist() == [3.5, -7.25]
    assert found["3"]["author"] == "u3"
    assert open_dataset(directory).manifest.summary["rejected"] == {"no position": 1}


def test_a_table_with_ids_of_its_own_is_met_by_its_files(tmp_path):
    (tmp_path / "t.csv").write_text("id,file,lat,lon\nown_1,a/b.jpg,1,2\n")
    archive = Listed([("0/a/b.jpg", jpeg(2)), ("a/b.jpg", jpeg(1)), ("z/a/b.jpg", jpeg(3))], 1)
    given = open_table(tmp_path / "t.csv", {}, ("latitude", "longitude"))
    directory = import_archive(
        tmp_path, job(given, archive, fractions={"test": 1.0}), on_this_machine(1)
    )
    (record,) = open_dataset(directory).split("test").records
    assert record["id"] == "a_b"
    assert np.array_equal(decode_image(record["image"]), decode_image(jpeg(1))), "the whole path"


def test_the_first_photo_of_an_id_counts(tmp_path):
    values = {name: {"lat": "1", "lon": "2"} for name in ("a/b.jpg", "a_b.jpg")}
    archive = Listed([("a/b.jpg", jpeg(1)), ("a_b.jpg", jpeg(2))], 1, values)
    directory = import_archive(
        tmp_path, job(None, archive, fractions={"test": 1.0}), on_this_machine(1)
    )
    (record,) = open_dataset(directory).split("test").records
    assert np.array_equal(decode_image(record["image"]), decode_image(jpeg(1)))
    assert "duplicate id" in (directory / REJECTED_FILE).read_text()


def test_nothing_left_is_an_error(tmp_path):
    (tmp_path / "t.csv").write_text("id,lat,lon\na,1,2\nb,1,2\nc,1,200\n")
    given = open_table(tmp_path / "t.csv", {}, ("latitude", "longitude"))
    members = [("a.jpg", b""), *((f"{n}.jpg", jpeg(n)) for n in range(3)), ("c.jpg", jpeg(3))]
    with pytest.raises(ValueError) as error:
        import_archive(tmp_path, job(given, Listed(members)), on_this_machine(1))
    file = tmp_path / "mp16" / "rejected-2.0.0.csv"
    assert str(error.value) == (
        "dataset 'mp16': no photo left: 3 no row, 1 out of range, 1 unreadable image, 1 rejected row, "
        f"1 missing photo; see {file} (--source, --table)"
    )
    assert len(file.read_text().splitlines()) == 8
    assert not list((tmp_path / "mp16").glob(".*")), "another table is not refused"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quality": 0}, "quality 0, expected 1 to 100"),
        ({"short_side": 0}, "short side 0, expected 1 or more"),
        ({"name": "MP16"}, "dataset name 'MP16'"),
        ({"seed": 2**63}, "expected a number of 64 bits"),
    ],
)
def test_values_out_of_range(table, fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(job(table, everything()), **fields)
