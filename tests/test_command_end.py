import importlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geosurge_jax import command_end
from geosurge_jax.command_end import (
    CommandEnd,
    ExitCode,
    NegativeAnswer,
    NothingDoneError,
    one_line_errors,
    plain_logging,
    raised_by_us,
)
from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.geo import ids_from_tokens

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("audit", "build", "download", "folder", "geocells", "prepare", "segment", "planet")


def test_our_own_errors_end_in_one_line(capsys):
    with pytest.raises(SystemExit) as ended, one_line_errors("process 1 of 2: "):
        ids_from_tokens(["not a token"])
    assert ended.value.code == ExitCode.USAGE
    printed = capsys.readouterr().err
    assert printed.startswith("error: process 1 of 2: ") and printed.count("\n") == 1


def test_faults_elsewhere_keep_their_traceback():
    with pytest.raises(ValueError, match="invalid literal"), one_line_errors():
        int("x")
    with pytest.raises(ConfigError), one_line_errors():
        raise ConfigError("raised by a test, not by the package")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("config.seed=-1: expected 0 or more"), ExitCode.USAGE),
        (NothingDoneError("no image could be placed"), ExitCode.FAILED),
        (NegativeAnswer("the bits differ"), ExitCode.FAILED),
        (OSError(28, "No space left on device"), ExitCode.FAILED),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), ExitCode.USAGE),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_table_of_exit_codes(error, code, monkeypatch, capsys):
    monkeypatch.setattr(command_end, "OWN_FOLDERS", (ROOT,))
    with pytest.raises(CommandEnd) as ended, one_line_errors():
        raise error
    printed = capsys.readouterr().err
    assert ended.value.code == code and printed == f"{ended.value}\n"


def test_an_error_of_a_library_is_not_ours_though_our_line_seems_to_raise_it(monkeypatch):
    monkeypatch.setattr(command_end, "OWN_FOLDERS", (ROOT,))
    foreign = type("JaxRuntimeError", (RuntimeError,), {"__module__": "jax.errors"})
    for kind, ours in ((foreign, False), (RuntimeError, True)):
        try:
            raise kind("out of memory")
        except RuntimeError as error:
            assert raised_by_us(error) == ours


def test_logs_are_plain_sentences_also_where_a_library_has_set_its_own_form(capsys, monkeypatch):
    from absl import logging as absl_logging

    root = logging.getLogger()
    others = [absl_logging.get_absl_handler(), logging.StreamHandler()]
    monkeypatch.setattr(root, "handlers", others)
    level, own = root.level, logging.getLogger("geosurge_jax").level
    try:
        plain_logging()
        logging.getLogger("geosurge_jax.importing.folder").info("4 photos")
        logging.getLogger("tensorflow_datasets").info("a dataset was opened")
        absl_logging.warning("a folder was looked at")
    finally:
        root.setLevel(level)
        logging.getLogger("geosurge_jax").setLevel(own)
    assert capsys.readouterr().err == "4 photos\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_data_command(name, capsys):
    text = (ROOT / "data" / f"{name}.py").read_text()
    module = importlib.import_module(text.split('run_command("')[1].split('"')[0])
    with pytest.raises(SystemExit) as ended:
        module.main(["--help"])
    assert ended.value.code == 0 and "usage: " in capsys.readouterr().out


def test_help_is_short_and_version_needs_no_other_argument():
    for flag, shown in (("-h", "usage: python -m data.folder"), ("--version", "geosurge_jax ")):
        done = subprocess.run(
            [sys.executable, "-m", "data.folder", flag], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0 and done.stdout.startswith(shown) and not done.stderr


def test_ctrl_c_ends_a_command_whose_libraries_swallow_it(tmp_path):
    (tmp_path / "stubborn.py").write_text(
        "import os, signal\n"
        "try: os.kill(os.getpid(), signal.SIGINT)\n"
        "except BaseException: pass\n"
        "def main(): print('went on')\n"
    )
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from geosurge_jax.command_end import run_command; run_command('stubborn')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path)))},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_missing_accelerator_ends_in_one_line():
    code = "from geosurge_jax.command_end import one_line_errors\nimport jax\n"
    code += "with one_line_errors(): jax.devices()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "rocm"},
        capture_output=True,
        text=True,
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: JAX_PLATFORMS=rocm: this accelerator is not available here")
    assert done.returncode == 1


def test_an_interrupted_import_ends_in_one_line_and_leaves_no_process(tmp_path):
    command = [sys.executable, "-m", "data.planet", "--out", str(tmp_path), "--photos", "20000"]
    process = subprocess.Popen(
        [*command, "--workers", "2"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    while len(children.read_text().split()) < 3:  # two workers and multiprocessing's tracker
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    workers = children.read_text().split()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
    out, errors = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, errors
    assert errors.splitlines()[-1] == "interrupted" and "Traceback" not in errors + out
    while any(runs(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not [*tmp_path.rglob("manifest.json")]


def runs(process):
    """Whether a process is there and no zombie, which a container may have nobody to bury."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
