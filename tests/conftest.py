import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Many tests start whole processes, which gain seconds each from compiled Python.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Eight simulated devices; quick compilation, which these small shapes gain more from than quick code; and
# patience with eight threads that meet on a busy machine, where XLA gives up, and aborts, after 40 s.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_collective_call_terminate_timeout_seconds=600",
    ]
)

import logging

import jax
import pytest
from absl import flags

jax.config.update("jax_numpy_rank_promotion", "raise")
if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()


def pytest_addoption(parser):
    parser.addoption(
        "--rewrite-golden",
        action="store_true",
        help="write golden files instead of only reading them",
    )


_LOGGERS = [logging.getLogger(name) for name in (None, "absl", "geosurge_jax")]
_LEVELS = [logger.level for logger in _LOGGERS]


@pytest.fixture(autouse=True)
def logs_as_before():
    """Commands that run in the tests' process set how logs look; every test finds them as at the start."""
    _reset_logs()  # a command may have run in a fixture of the module
    yield
    _reset_logs()


def _reset_logs():
    for handler in [one for one in logging.root.handlers if type(one) is logging.StreamHandler]:
        logging.root.removeHandler(handler)
    for logger, level in zip(_LOGGERS, _LEVELS, strict=True):
        logger.setLevel(level)
