"""JSON Lines: one object an image."""

import json
from collections.abc import Iterable
from typing import TextIO

from geosurge_jax.serving.formats.record import Record


def write_jsonl(records: Iterable[Record], file: TextIO) -> None:
    """Writes one JSON object a line, in ASCII; flushes after each image.

    Args:
        records: results, consumed one at a time.
        file: text file.

    Raises:
        OSError: the file cannot be written.
    """
    for record in records:
        file.write(json.dumps(record) + "\n")
        file.flush()
