"""Files and folders that are whole or not there."""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Gives a passing name beside `path`; what lies there in the end takes the place of `path`.

    After an exception, what was made is deleted. Several processes and threads may make the same path at a
    time; the last one stays.
    """
    passing = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield passing
        os.replace(passing, path)
    except BaseException:
        if passing.is_dir():
            shutil.rmtree(passing, ignore_errors=True)
        else:
            passing.unlink(missing_ok=True)
        raise
