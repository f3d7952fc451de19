"""Imports by TFDS give the same files as our own command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from geosurge_jax.dataset.reader import open_dataset
from geosurge_jax.importing import build, prepare
from geosurge_jax.importing.builders import BUILDERS
from tests.importing.photos import BAD, GOOD, table_text

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manual")
    photos = {**GOOD, **{name: content for name, (content, _) in BAD.items()}}
    for name, content in photos.items():
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).write_bytes(content)
    (folder / "mp16_places365.csv").write_text(table_text(), encoding="utf-8", newline="")
    return folder


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    """No processes are started: the bytes do not depend on them, as other tests show."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)


@pytest.fixture(scope="module")
def prepared(manual, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    source = ["--source", f"{manual}/photos", "--table", f"{manual}/mp16_places365.csv"]
    prepare.main(["mp16", *source, "--out", str(out), "--workers", "1"])
    return contents(out)


def contents(folder):
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in files.items()}


def from_manual(folder, **others):
    return tfds.download.DownloadConfig(manual_dir=folder, **others)


def test_all_photo_sets_are_registered():
    assert set(BUILDERS) == set(prepare.PHOTO_SETS)
    assert all(tfds.builder_cls(name) is builder for name, builder in BUILDERS.items())
    assert {builder.__module__ for builder in BUILDERS.values()} == {
        "geosurge_jax.importing.builders"
    }


def test_the_python_door_gives_the_same_files_and_reads_them(manual, prepared, tmp_path, capsys):
    builder = tfds.builder("mp16", data_dir=tmp_path)
    builder.download_and_prepare(download_config=from_manual(manual))
    assert contents(tmp_path) == prepared and len(prepared) == 10
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"mp16: {len(GOOD)} photos arrived")
    source = builder.as_data_source("train")
    manifest = json.loads((tmp_path / "mp16" / "2.0.0" / "manifest.json").read_text())
    places = np.load(tmp_path / "mp16" / "2.0.0" / "train-latlng.npy")
    assert len(source) == sum(shard["records"] for shard in manifest["splits"]["train"])
    np.testing.assert_array_equal(source[3]["latlng"], places[3])
    with pytest.raises(
        NotImplementedError, match="mp16: TFDS makes no tf.data of ArrayRecord files"
    ):
        builder.as_dataset(split="train")
    again = tfds.data_source("mp16", split="validation", data_dir=tmp_path, download=False)
    assert len(again) + len(source) == len(GOOD)


def test_the_command_of_tfds_gives_the_same_files(manual, prepared, tmp_path, capsys):
    build.main(["mp16", f"--manual_dir={manual}", f"--data_dir={tmp_path}"])
    assert contents(tmp_path) == prepared
    assert "full_name='mp16/2.0.0'" in capsys.readouterr().out


def test_a_finished_dataset_is_kept_or_made_again_as_asked(manual, prepared, tmp_path):
    builder = tfds.builder("mp16", data_dir=tmp_path)
    version = tmp_path / "mp16" / "2.0.0"
    version.mkdir(parents=True)
    (version / "other").write_bytes(b"")
    builder.download_and_prepare(download_config=from_manual(manual))
    assert [path.name for path in version.iterdir()] == ["other"]
    anew = tfds.download.GenerateMode.REUSE_CACHE_IF_EXISTS
    builder.download_and_prepare(download_config=from_manual(manual, download_mode=anew))
    assert contents(tmp_path) == prepared


KEPT = "interrupted; finished work is kept"


def test_an_ended_import_goes_on(manual, prepared, tmp_path, monkeypatch):
    def ended(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(SystemExit, match=KEPT):
        patch.setattr("geosurge_jax.importing.importer.make_plan", ended)
        build.main(["mp16", f"--manual_dir={manual}", f"--data_dir={tmp_path}"])
    assert [path.name for path in (tmp_path / "mp16").iterdir()] == [".importing-2.0.0"]

    def refuse(*arguments):
        raise AssertionError("read again")

    monkeypatch.setattr("geosurge_jax.importing.scatter.write_chunk", refuse)
    build.main(["mp16", f"--manual_dir={manual}", f"--data_dir={tmp_path}"])
    assert contents(tmp_path) == prepared


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("photos", "no 'photos', expected a folder 'photos' with the photos"),
        ("one table", "a.csv, b.jsonl, expected a folder 'photos'"),
    ],
)
def test_a_manual_directory_that_lacks_something(lacking, message, tmp_path):
    (tmp_path / "manual").mkdir()
    if lacking != "photos":
        (tmp_path / "manual" / "photos").mkdir()
        for name in ("a.csv", "b.jsonl"):
            (tmp_path / "manual" / name).write_text("")
    with pytest.raises(SystemExit) as error:
        build.main(["im2gps", f"--manual_dir={tmp_path}/manual", f"--data_dir={tmp_path}"])
    assert str(error.value).startswith(f"error: manual directory {tmp_path}/manual: {message}")
    assert "\n" not in str(error.value)


def test_another_file_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="mp16: file_format='tfrecord', expected 'array_record'"):
        BUILDERS["mp16"](data_dir=tmp_path, file_format="tfrecord")


@pytest.mark.parametrize("flag", ["--max_examples_per_split=1", "--num_shards=3"])
def test_what_is_not_heeded_is_refused(flag, manual, tmp_path):
    with pytest.raises(SystemExit, match=f"{flag[2:].split('=')[0]} is not heeded, expected"):
        build.main(["mp16", flag, f"--manual_dir={manual}", f"--data_dir={tmp_path}"])
    assert not list(tmp_path.iterdir())


def test_the_snippet_of_the_docs_runs_as_printed(manual, tmp_path):
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "data.md").read_text(), re.S)
    (tmp_path / "MANUAL").symlink_to(manual)
    (tmp_path / "snippet.py").write_text(snippet)
    done = subprocess.run(
        [sys.executable, "snippet.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert len(open_dataset(tmp_path / "datasets" / "mp16" / "2.0.0").split("train")) > 0
    assert done.stdout.splitlines()[-1]
