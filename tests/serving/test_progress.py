import io
import sys

import pytest
from rich.console import Console

from geosurge_jax import progress as shown
from geosurge_jax.experiment import terminal
from geosurge_jax.serving.commands.progress import progress


def test_without_a_terminal_a_line_appears_every_ten_seconds(capsys):
    now = 0.0
    with progress(1000, done=100, clock=lambda: now) as advance:
        for _ in range(60):
            now += 0.5
            advance()
    assert capsys.readouterr().err.splitlines() == [
        "120 of 1,000 images, 2.0/s, 7 min left",
        "140 of 1,000 images, 2.0/s, 7 min left",
        "160 of 1,000 images, 2.0/s, 7 min left",
    ]


def test_long_work_prints_lines_too(capsys, monkeypatch):
    monkeypatch.setattr(shown, "SECONDS_BETWEEN_LINES", -1.0)
    assert [*shown.track("ab", "reading")] == ["a", "b"]
    assert [*shown.track(iter("ab"), "reading")] == ["a", "b"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines[:2]] == ["reading: 1 of 2", "reading: 2 of 2"]
    assert lines[1].endswith("/s, 0 s left")


def test_training_without_a_terminal_prints_a_line_at_each_log_step(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "CONSOLE", Console(stderr=True))
    now = 100.0
    with terminal.training_progress(10_000, 600, 256, 200, lambda: now) as report:
        for step in range(601, 1001):
            now += 0.5
            report(step, 3.21449)
        now += 0.5
        report(10_000, 1.0)
    assert capsys.readouterr().err.splitlines() == [
        "resumes at step 600 of 10,000",
        "step 800 of 10,000  loss 3.214  512 images/s  77 min left",
        "step 1,000 of 10,000  loss 3.214  512 images/s  75 min left",
        "step 10,000 of 10,000  loss 1.000  4,608,000 images/s  0 s left",
    ]


@pytest.mark.parametrize("piped", [True, False])
def test_a_bar_leaves_results_alone(monkeypatch, piped):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = io.StringIO() if piped else Terminal()
    errors = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setenv("TERM", "xterm")
    with progress(2) as advance:
        advance()
        print("a result")
        advance()
    # On one terminal the bar's own stream shows results, above the bar.
    assert ("a result" in out.getvalue()) == piped
    assert ("a result" in errors.getvalue()) != piped
    assert "images" in errors.getvalue()
