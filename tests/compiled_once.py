"""For runs of the same programs, one after another: what one has compiled, the next ones take."""

import os
import tempfile

_CACHE = tempfile.TemporaryDirectory()  # it goes when the tests end


def environment() -> dict[str, str]:
    """The tests' environment with a folder of compiled programs."""
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": _CACHE.name,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
