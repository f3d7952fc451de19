import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from geosurge_jax.interop.family import WeightsError
from geosurge_jax.serving import command_line
from geosurge_jax.serving.command import app
from geosurge_jax.serving.commands.forwarding import MODES
from geosurge_jax.serving.commands.help_text import EXAMPLES
from geosurge_jax.serving.commands.result_options import VIEWS
from geosurge_jax.serving.journal import journal_path
from geosurge_jax.serving.predictor import VIEWS as VIEWS_OF_PREDICTOR
from geosurge_jax.serving.predictor import Predictor
from geosurge_jax.serving.sidecar import sidecar_path
from tests.serving.made_up import MadeUpPredictor
from tests.serving.test_exif_comparison import jpeg


@pytest.fixture
def opened(monkeypatch):
    """The predictors that were opened, in order; the next one stops after `stop_after` images."""
    found = []

    def open_made_up(model, **options):
        found.append(MadeUpPredictor(model=model, **options))
        found[-1].stop_after = open_made_up.stop_after
        return found[-1]

    open_made_up.stop_after = None
    monkeypatch.setattr(Predictor, "from_pretrained", open_made_up)
    open_made_up.found = found
    return open_made_up


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """a.jpg, bad.jpg, sub/b.jpg; the current directory."""
    (tmp_path / "sub").mkdir()
    for name in ("a.jpg", "bad.jpg", "sub/b.jpg"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, code=0, stdin=None):
    done = CliRunner().invoke(app, [*map(str, arguments)], input=stdin)
    assert done.exit_code == code, (done.output, done.exception)
    return done


def predict(*arguments, **options):
    return run("predict", *arguments, "--model", "m", **options)


def embed(*arguments, **options):
    return run("embed", *arguments, "--model", "m", **options)


def images(text):
    return [row["image"] for row in csv.DictReader(io.StringIO(text)) if row["rank"] in ("", "1")]


def test_results_go_to_stdout_and_a_bad_file_is_a_row_with_an_error(opened, folder):
    done = predict(".", "--format", "csv", "--top-k", 2, "--views", 5, code=3)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["image"] for row in rows] == ["a.jpg"] * 2 + ["bad.jpg"] + ["sub/b.jpg"] * 2
    assert rows[2]["error"] == "bad.jpg: not an image" and rows[2]["latitude"] == ""
    assert "3 files seen: 2 placed, 1 rejected (1 unreadable), 0 skipped" in done.stderr
    (predictor,) = opened.found
    assert predictor.options["views"] == 5 and predictor.options["model"] == "m"


def test_without_a_format_people_get_a_table(opened, folder):
    done = predict("a.jpg")
    assert done.stdout.split()[:2] == ["image", "rank"]
    assert done.stderr == "1 files seen: 1 placed, 0 rejected, 0 skipped\n"
    assert "warning: synthetic (1 image)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        (["sub", "a.jpg", "sub/b.jpg"], None, ["sub/b.jpg", "a.jpg"]),
        (["**/*.jpg"], None, ["a.jpg", "bad.jpg", "sub/b.jpg"]),
        (["s*"], None, ["sub/b.jpg"]),
        (["-"], b"a.jpg\nsub\n", ["a.jpg", "sub/b.jpg"]),
        (["-"], b"a.jpg\0new\nline.jpg\0", ["a.jpg", "new\nline.jpg"]),
        (["nowhere-*.jpg"], None, ["nowhere-*.jpg"]),
    ],
)
def test_names_of_images(opened, folder, arguments, stdin, expected):
    done = CliRunner().invoke(
        app, ["predict", *arguments, "--model", "m", "--format", "csv"], input=stdin
    )
    assert images(done.stdout) == expected


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(opened, folder):
    for name in ("a[1].jpg", "a1.jpg"):
        (folder / name).write_bytes(b"")
    assert images(predict("a[1].jpg", "--format", "csv").stdout) == ["a[1].jpg"]


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.geojson", "out.kml"])
def test_killed_work_is_resumed_without_a_second_look(opened, folder, name):
    out = folder / name
    predict(".", "--out", out, code=3)
    expected = out.read_text()
    out.unlink()
    opened.stop_after = 2
    done = predict(".", "--out", out, code=130)
    assert "2 results are kept; run the same command with --resume to continue" in done.stderr
    assert not out.exists() and journal_path(out).exists()
    opened.stop_after = None
    # Killed in the middle of a line.
    journal = journal_path(out)
    journal.write_bytes(journal.read_bytes()[:-30])
    done = predict(".", "--out", out, "--resume", code=3)
    assert opened.found[-1].asked == ["bad.jpg", "sub/b.jpg"]
    assert out.read_text() == expected and not journal.exists()
    assert f"1 rejected (1 unreadable), 1 skipped (1 hidden) -> {out}" in done.stderr


def test_work_of_another_model_is_not_continued(opened, folder):
    opened.stop_after = 1
    predict(".", "--out", "out.csv", code=130)
    for changed in (["--top-k", 3], ["--views", 10]):
        done = predict(".", "--out", "out.csv", "--resume", *changed, code=2)
        assert done.stderr.count("\n") == 1 and f"{changed[0]}=" in done.stderr
    done = run("predict", ".", "--out", "out.csv", "--resume", "--model", "other", code=2)
    assert "--model='m' and not 'other'" in done.stderr
    done = predict(".", "--out", "out.csv", code=2)
    assert "give --resume" in done.stderr


def test_sidecars_lie_beside_images_and_others_are_kept(opened, folder):
    other = sidecar_path(folder / "sub/b.jpg")
    other.write_text("<x/>")
    done = predict("a.jpg", "sub", "--sidecar", code=3)
    assert "test model" in sidecar_path(folder / "a.jpg").read_text()
    assert "b.jpg.xmp: was written by another program" in done.stderr
    assert other.read_text() == "<x/>"


def test_positions_in_exif_are_compared_only_when_asked_for(opened, folder):
    (folder / "a.jpg").write_bytes(jpeg((33, 54, 0)))
    done = predict("a.jpg", "sub", "--compare-exif", "--format", "jsonl")
    errors = [json.loads(line)["exif_error_km"] for line in done.stdout.splitlines()]
    assert errors == [pytest.approx(0, abs=0.01), None]
    assert "a.jpg: 0.0 km from its EXIF position" in done.stderr
    assert "1 of 2 images carry an EXIF position, median error 0.0 km" in done.stderr
    assert "exif" not in predict("a.jpg", "--format", "jsonl").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.jpg", "--resume"], "--out"),
        (["a.jpg", "--format", "xml"], "'xml'"),
        (["a.jpg", "--views", "3"], "1, 5, 10"),
        (["a.jpg", "--out", "out.txt"], ".csv"),
        (["a.jpg", "--out", "nowhere/out.csv"], "nowhere"),
        (["a.jpg", "--top-k", "0"], "--top-k"),
        ([], "PHOTOS"),
    ],
)
def test_wrong_usage_is_named(opened, folder, arguments, message):
    done = predict(*arguments, code=2)
    assert message in done.stderr and not opened.found


def test_a_folder_without_images_is_wrong_usage(opened, tmp_path):
    assert "no image here" in predict(tmp_path, code=2).stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WeightsError("model='m': is\nnot there"), 4),
        (ValueError("dtype='x'"), 2),
        (OSError(5, "I/O"), 4),
    ],
)
def test_a_model_that_does_not_open_ends_in_one_line(monkeypatch, folder, error, code):
    def refuse(model, **options):
        raise error

    monkeypatch.setattr(Predictor, "from_pretrained", refuse)
    done = predict("a.jpg", code=code)
    assert done.stderr == f"error: {' '.join(str(error).split())}\n"


def test_vectors_of_readable_images_are_archived(opened, folder):
    done = run("embed", ".", "--model", "m", "--out", "v.npz", code=3)
    with np.load("v.npz", allow_pickle=False) as archive:
        assert archive["images"].tolist() == ["a.jpg", "sub/b.jpg"]
        assert archive["vectors"].dtype == np.float32
        np.testing.assert_array_equal(archive["vectors"], [[0] * 4, [2] * 4])
    assert "bad.jpg: not an image" in done.stderr


def test_where_nothing_is_placed_earlier_results_are_kept(opened, folder):
    for name in ("out.csv", "out.npz"):
        command = predict if name.endswith("csv") else embed
        done = command("bad.jpg", "--out", name, code=1)
        assert "error: " in done.stderr and "none of 1 images" in done.stderr
        assert (folder / name).exists() == name.endswith("csv"), "error rows, but no empty archive"
        (folder / name).write_text("earlier")
        command("bad.jpg", "--out", name, code=1)
        assert (folder / name).read_text() == "earlier"
        assert not journal_path(folder / name).exists()
    done = predict("bad.jpg", "--format", "csv", code=1)
    assert "bad.jpg: not an image" in done.stdout and "none of 1 images" in done.stderr


def test_sentences_are_placed(opened):
    done = run(
        "query", "a beach", "a fjord", "--model", "m", "--format", "jsonl", "--text-encoder", "t"
    )
    assert [json.loads(line)["image"] for line in done.stdout.splitlines()] == [
        "a beach",
        "a fjord",
    ]
    assert opened.found[0].options["text_encoder"] == "t"


def test_what_is_known_is_listed(opened):
    assert "hf:VicenteVivanco/geoclip-geolocation, MIT" in run("models").stdout
    assert run("info", "m").stdout.splitlines() == ["name:   test model", "system: made up"]


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_a_run_get_their_arguments_as_they_are(monkeypatch, mode):
    asked = []
    monkeypatch.setattr(command_line, "main", asked.append)
    run(mode, "--config=c.py:x", "--workdir=w", "--help", "rest")
    assert asked == [
        [f"geosurge {mode}", f"--mode={mode}", "--config=c.py:x", "--workdir=w", "--help", "rest"]
    ]
    assert mode in command_line.MODES


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_shows_examples_and_exit_codes(name):
    text = run(*([] if name == "geosurge" else [name]), "--help").stdout
    assert all(example in text for example in EXAMPLES[name])
    assert "130  interrupted" in text and "3    some images failed" in text


def test_views_are_those_of_the_predictor():
    assert VIEWS == VIEWS_OF_PREDICTOR


def test_help_and_version_do_not_import_jax():
    code = (
        "import sys\nfrom geosurge_jax.serving.command import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'jax', 'numpy'} & {*sys.modules}, 'imported'"
    )
    for flag, expected in (("--help", "Exit codes"), ("--version", "\njaxlib 0.")):
        done = subprocess.run(
            [sys.executable, "-c", code, flag], capture_output=True, text=True, check=True
        )
        assert expected in done.stdout
