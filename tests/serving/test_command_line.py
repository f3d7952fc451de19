import importlib
import subprocess
import sys
from pathlib import Path

from absl import flags

from geosurge_jax.experiment import export
from geosurge_jax.serving import command_line

ROOT = Path(__file__).resolve().parents[2]


def test_help_shows_the_flags_of_a_run():
    done = subprocess.run(
        [sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    for flag in ("--config", "--workdir", "--mode", "--formats"):
        assert f"{flag}: " in done.stdout
    shown = " ".join(done.stdout.split())
    assert f"geoclip. (default: '{','.join(export.DEFAULT_FORMATS)}')" in shown
    assert f"commas between: {', '.join(export.FORMATS)}." in shown


def test_an_import_defines_no_flags():
    """Other programs of this process, such as TFDS' own command, have a flag of the same name."""
    before = set(flags.FLAGS)
    importlib.reload(command_line)
    assert set(flags.FLAGS) == before and "workdir" not in before


def test_the_installed_command_finds_config_files_of_the_current_folder(tmp_path):
    """-P keeps the current folder off Python's path, as it is for an installed command."""
    code = "from geosurge_jax.serving.command import main; main()"
    flags_of_run = ["--config=configs/geosurge.py:tiny", f"--workdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "eval", *flags_of_run],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "no run here (run.json is missing); train first" in done.stderr
