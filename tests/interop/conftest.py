import re
import resource
import time
import tracemalloc

import pytest

from geosurge_jax.interop.family import WeightsError

MEMORY = (
    80e6  # bytes; the machine of pickles may take about 100 for each of its 500,000 instructions
)
SECONDS = 20  # under tracemalloc, which takes several times as long


@pytest.fixture
def refused():
    """A check that a file is refused for a reason, soon, in one line, and with little memory."""

    def check(read, path, reason):
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin = time.monotonic()
        tracemalloc.start()
        try:
            with pytest.raises(WeightsError) as caught:
                read(path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        message = str(caught.value)
        assert re.search(reason, message), message
        assert str(path) in message
        assert message.isprintable() and len(message) < 1000
        assert peak < MEMORY
        # What the libraries below Python take; tracemalloc's own tables are in it too.
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) * 1024 < 4 * MEMORY
        assert time.monotonic() - begin < SECONDS

    return check
