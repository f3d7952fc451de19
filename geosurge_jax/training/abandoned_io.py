"""Keeps what Orbax and TensorStore leave behind after a failure off the terminal.

When one array cannot be read or written, Orbax raises and abandons the coroutines of the others. Python then
reports each of them as an exception that nobody can catch, as do TensorStore's threads when they find the
event loop closed. The one exception that counts is raised to us.
"""

import gc
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

LINGER_SECONDS = 0.5


def _is_retrieved(record: logging.LogRecord) -> bool:
    return "exception was never retrieved" not in record.getMessage()


def settle() -> None:
    """Waits for the late reports: coroutines report when they are freed, threads a little later."""
    gc.collect()
    time.sleep(LINGER_SECONDS)


@contextmanager
def abandoned_io_silenced() -> Iterator[None]:
    """Drops these reports, and no others, inside the block; an exception waits for the late ones."""
    report_unraisable = sys.unraisablehook

    def unraisable(report: "sys.UnraisableHookArgs") -> None:
        code = getattr(report.object, "cr_code", None)
        of_orbax = code is not None and "orbax" in code.co_filename
        if not of_orbax and str(report.exc_value) != "Event loop is closed":
            report_unraisable(report)

    sys.unraisablehook = unraisable
    asyncio_log = logging.getLogger("asyncio")
    asyncio_log.addFilter(_is_retrieved)
    try:
        yield
    except BaseException:
        settle()
        raise
    finally:
        sys.unraisablehook = report_unraisable
        asyncio_log.removeFilter(_is_retrieved)
