"""The command line on one archive in every shape, to the same shards."""

import importlib.util

import pytest

from benchmarks.photo_archives import SHAPES, Stored
from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.importing.prepare import main
from tests.importing.photos import BAD, GOOD, table_text

MEMBERS = {**GOOD, **{name: content for name, (content, _) in BAD.items()}}


def archive(shape, folder):
    """All members in one shape; in a zip in a folder of its own, which the table does not know of."""
    folder.mkdir()
    outer = "00/" if shape == "zip" else ""
    SHAPES[shape](folder, (Stored(outer + name, content) for name, content in MEMBERS.items()))
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "mp16_places365.csv"
    path.write_text(table_text(), encoding="utf-8", newline="")
    return path


def prepared(source, table, out, *flags):
    main(["mp16", "--source", str(source), "--table", str(table), "--out", str(out), *flags])
    return out / "mp16" / "2.0.0"


def shards(directory):
    return {path.name: path.read_bytes() for path in directory.glob("*.array_record-*")}


@pytest.fixture(scope="module")
def from_tree(table, tmp_path_factory):
    source = archive("tree", tmp_path_factory.mktemp("tree") / "source")
    return prepared(source, table, tmp_path_factory.mktemp("out"), "--workers", "1")


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "tree"])
def test_every_shape_gives_the_same_shards(shape, from_tree, table, tmp_path, capsys):
    source = archive(shape, tmp_path / "source")
    directory = prepared(source, table, tmp_path / "out", "--workers", "1")
    assert len(shards(directory)) == 2 and shards(directory) == shards(from_tree)
    summaries = [open_dataset(d).manifest.summary for d in (directory, from_tree)]
    assert summaries[0] == summaries[1] and summaries[0]["rejected"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"mp16: {len(GOOD)} photos arrived")
    assert printed[1] == str(directory)


def test_a_webdataset_needs_no_table(tmp_path, capsys):
    values = {"LAT": "1.5", "LON": "-2"}
    stored = (Stored(name, content, values) for name, content in list(GOOD.items())[:5])
    SHAPES["webdataset"](tmp_path, stored)
    main(["im2gps", "--source", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "1"])
    assert "5 of 237 photos arrived: 232 are missing" in capsys.readouterr().out
    split = open_dataset(tmp_path / "out" / "im2gps" / "2.0.0").split("test")
    assert split.latlng.tolist() == [[1.5, -2.0]] * 5


@pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None,
    reason="Apache Beam is optional: pip install -r requirements-beam.txt",
)
def test_beam_gives_the_same_bytes(from_tree, table, tmp_path):
    source = archive("tree", tmp_path / "source")
    flags = ["--beam", "--", "--runner=DirectRunner", "--direct_num_workers=2"]
    flags.append("--direct_running_mode=multi_processing")
    directory = prepared(source, table, tmp_path / "out", *flags)
    assert shards(directory) == shards(from_tree)


def test_columns_without_a_use_are_named(tmp_path, caplog):
    """As OSV-5M's tables have them; its quadtree is no partition into S2 cells."""
    (tmp_path / "train.csv").write_text(
        "id,latitude,longitude,country,quadtree_10_1000\n1,2.5,3.5,GH,7\n"
    )
    source = tmp_path / "train"
    source.mkdir()
    SHAPES["zip"](source, [Stored("00/1.jpg", GOOD["00/0000.jpg"])])
    given = ["osv5m_test", "--source", str(source), "--table", str(tmp_path / "train.csv")]
    with caplog.at_level("INFO"):
        main([*given, "--out", str(tmp_path / "out"), "--workers", "1"])
    assert "train.csv: columns not used: country, quadtree_10_1000" in caplog.text
    split = open_dataset(tmp_path / "out" / "osv5m_test" / "2.0.0").split("test")
    assert [record["id"] for record in split.records] == ["1"]
    assert split.latlng.tolist() == [[2.5, 3.5]]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source", "nowhere"], "nowhere: no such file or folder"),
        (["--shape", "zip"], "no files"),
        (["--table", "nowhere.csv"], "nowhere.csv: No such file or directory, expected a table"),
        (["--id-column", "x"], "mp16_places365.csv: no column 'x'"),
        (["--quality", "101"], "quality 101, expected 1 to 100"),
        (["--workers", "0"], "0 workers, expected 1 or more"),
        (["--fractions", "1,1,1"], "fractions 1.0, 1.0, 1.0"),
        (["--", "--runner=X"], "flags for Beam's runner, expected --beam"),
    ],
)
def test_wrong_flags_end_in_one_line(flags, message, table, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(GOOD["00/0000.jpg"])
    given = ["mp16", "--source", str(tmp_path / "photos"), "--table", str(table)]
    with pytest.raises(SystemExit) as error:
        main([*given, "--out", str(tmp_path / "out"), *flags])
    assert str(error.value).startswith("error: ") and message in str(error.value)
    assert "\n" not in str(error.value)
