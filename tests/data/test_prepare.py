"""The command line on one archive in every shape, to the same shards."""

import importlib.util
import io
import json
import tarfile
import zipfile

import msgpack
import pytest

from data.prepare import main
from geosurge_jax.input.dataset import open_dataset
from tests.data.importing.photos import BAD, GOOD, table_text

MEMBERS = {**GOOD, **{name: content for name, (content, _) in BAD.items()}}


def as_tree(folder):
    for name, content in MEMBERS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def as_message_pack(folder):
    items = [msgpack.packb({"image": content, "id": name}) for name, content in MEMBERS.items()]
    for shard in range(3):
        (folder / f"shard_{shard}.msg").write_bytes(b"".join(items[shard::3]))
    return folder


def tar_bytes():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in MEMBERS.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def as_tar(folder):
    (folder / "mp-16-images.tar").write_bytes(tar_bytes())
    return folder / "mp-16-images.tar"


def as_split_tar(folder):
    content, third = tar_bytes(), len(tar_bytes()) // 3
    for part in range(4):
        piece = content[part * third : (part + 1) * third]
        (folder / f"mp-16-images.tar.{part:02d}").write_bytes(piece)
    (folder / "tar_index.pkl").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    return folder


def as_zip(folder):
    """In a folder of its own inside the zip, which the table does not know of."""
    with zipfile.ZipFile(folder / "00.zip", "w") as packed:
        for name, content in MEMBERS.items():
            packed.writestr(f"00/{name}", content)
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
    source = as_tree(tmp_path_factory.mktemp("tree"))
    return prepared(source, table, tmp_path_factory.mktemp("out"), "--workers", "1")


@pytest.mark.parametrize("made", [as_message_pack, as_tar, as_split_tar, as_zip])
def test_every_shape_gives_the_same_shards(made, from_tree, table, tmp_path, capsys):
    (tmp_path / "source").mkdir()
    directory = prepared(made(tmp_path / "source"), table, tmp_path / "out", "--workers", "1")
    assert len(shards(directory)) == 2 and shards(directory) == shards(from_tree)
    counts = [json.loads((d / "import.json").read_text()) for d in (directory, from_tree)]
    assert counts[0] == counts[1]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"mp16: {len(GOOD)} photos arrived")
    assert printed[1] == str(directory)


def test_a_webdataset_needs_no_table(tmp_path, capsys):
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        for name, content in list(GOOD.items())[:5]:
            for suffix, data in ((".jpg", content), (".json", b'{"LAT": 1.5, "LON": -2}')):
                entry = tarfile.TarInfo(name.removesuffix(".jpg").replace("/", "_") + suffix)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    main(["im2gps", "--source", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "1"])
    assert "5 of 237 photos arrived: 232 are missing" in capsys.readouterr().out
    split = open_dataset(tmp_path / "out" / "im2gps" / "2.0.0").split("test")
    assert split.latlng.tolist() == [[1.5, -2.0]] * 5


@pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None,
    reason="Apache Beam is optional: pip install -r requirements-beam.txt",
)
def test_beam_gives_the_same_bytes(from_tree, table, tmp_path):
    (tmp_path / "source").mkdir()
    source = as_tree(tmp_path / "source")
    flags = ["--beam", "--", "--runner=DirectRunner", "--direct_num_workers=2"]
    flags.append("--direct_running_mode=multi_processing")
    directory = prepared(source, table, tmp_path / "out", *flags)
    assert shards(directory) == shards(from_tree)


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
