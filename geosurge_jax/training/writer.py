"""Metrics out: one JSON object a line, and TensorBoard events."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter

METRICS_FILE = "metrics.jsonl"


def read_metrics(directory: Path) -> list[dict[str, float]]:
    """Reads `metrics.jsonl`; a last line that a killed run left half written is dropped."""
    path = directory / METRICS_FILE
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


class MetricWriter:
    """Appends scalars; only process 0 of a run makes one.

    Started at a step, it first drops what a killed run had written beyond it, so that the file of an
    interrupted run equals that of an uninterrupted one.
    """

    def __init__(self, directory: Path, step: int, evaluated_step: int) -> None:
        """Opens the files of `directory` for writing.

        Args:
            directory: holds `metrics.jsonl`.
            step: training metrics up to this step are kept.
            evaluated_step: other metrics up to this step are kept.
        """

        def is_kept(row: dict[str, float]) -> bool:
            return row["step"] <= (step if "train/loss" in row else evaluated_step)

        kept = [row for row in read_metrics(directory) if is_kept(row)]
        path = directory / METRICS_FILE
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
        os.replace(temporary, path)
        self._file = path.open("a")
        self._events = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Appends one line, and one event for each scalar, at `step`."""
        self._file.write(json.dumps({"step": step, **scalars}) + "\n")
        self._file.flush()
        for name, value in scalars.items():
            self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes and closes the files."""
        self._file.close()
        self._events.close()
