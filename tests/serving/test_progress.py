import io
import sys

import pytest

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
