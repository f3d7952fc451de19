"""Ten kills at random instants; `python benchmarks/chaos.py --kills 100` is the long form."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_ten_kills_leave_no_trace(tmp_path):
    done = subprocess.run(
        [sys.executable, "benchmarks/chaos.py", "--kills=10", f"--keep={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "after 10 kills" in done.stdout and "NO" not in done.stdout
