import subprocess
import sys
from pathlib import Path

from absl import flags

from geosurge_jax.experiment import export
from geosurge_jax.serving import command_line

ROOT = Path(__file__).resolve().parents[2]


def test_formats_are_those_of_the_export():
    assert tuple(command_line.FORMATS.default) == export.DEFAULT_FORMATS
    described = flags.FLAGS[command_line.FORMATS.name].help
    assert all(name in described for name in export.FORMATS)


def test_help_shows_the_flags_of_a_run():
    done = subprocess.run(
        [sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    for flag in ("--config", "--workdir", "--mode", "--formats"):
        assert f"{flag}: " in done.stdout
