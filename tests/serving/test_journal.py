import json
import subprocess
import sys

import pytest

from geosurge_jax.serving.journal import JournalError, journal_path, open_journal

SETTINGS = {"--model": "runs/a", "--top-k": 5, "--views": 1}
RECORDS = [{"image": "a.jpg", "error": None}, {"image": "b\udcff.jpg", "error": "damaged"}]


@pytest.fixture
def path(tmp_path):
    path = journal_path(tmp_path / "out.csv")
    with open_journal(path, SETTINGS, resume=False) as journal:
        for record in RECORDS:
            journal.append(record)
    return path


def test_the_journal_is_a_hidden_file_whose_first_line_holds_the_settings(path):
    assert path.name == ".out.csv.journal"
    assert json.loads(path.read_text().splitlines()[0]) == {"settings": SETTINGS}


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_partial_last_line_is_dropped_and_the_rest_continued(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with open_journal(path, SETTINGS, resume=True) as journal:
        kept = list(journal.records())
        assert kept == RECORDS[: len(kept)] and len(kept) == (0 if cut == 60 else 1)
        for record in RECORDS[len(kept) :]:
            journal.append(record)
        assert list(journal.records()) == RECORDS
    assert path.read_bytes() == whole


def test_a_journal_without_a_whole_first_line_starts_anew(path):
    path.write_bytes(path.read_bytes()[:10])
    with open_journal(path, SETTINGS, resume=False) as journal:
        assert list(journal.records()) == []
    assert json.loads(path.read_text()) == {"settings": SETTINGS}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("--model", "runs/b", "--model='runs/a' and not 'runs/b'"),
        ("--top-k", 3, "--top-k=5 and not 3"),
        ("--views", 10, "--views=1 and not 10"),
    ],
)
def test_a_journal_of_other_settings_is_refused_and_kept(path, name, value, message):
    before = path.read_bytes()
    with pytest.raises(JournalError, match=message) as caught:
        with open_journal(path, {**SETTINGS, name: value}, resume=True):
            pass
    assert "\n" not in str(caught.value) and path.read_bytes() == before


def test_earlier_work_is_neither_mixed_nor_lost_unless_asked_for(path):
    before = path.read_bytes()
    with pytest.raises(JournalError, match="give --resume"):
        with open_journal(path, SETTINGS, resume=False):
            pass
    assert path.read_bytes() == before
    with open_journal(path, SETTINGS, resume=False, replace=True) as journal:
        assert list(journal.records()) == []


def test_a_damaged_line_is_named(path):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '{"image": "a', lines[2], ""]))
    with open_journal(path, SETTINGS, resume=True) as journal:
        with pytest.raises(JournalError, match="line 2 is damaged"):
            list(journal.records())


def test_a_second_process_is_kept_out(path):
    code = (
        "import sys; from pathlib import Path; from geosurge_jax.serving.journal import open_journal\n"
        "with open_journal(Path(sys.argv[1]), {}, resume=True): pass"
    )
    with open_journal(path, SETTINGS, resume=True):
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert "another process is writing here" in done.stderr
