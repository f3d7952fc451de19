"""TPUs that are not here: devices to compile for, from the compiler alone."""

import importlib.util
import math
import os
import re
from typing import Any

import jax
from jax.experimental import topologies

EXAMPLES = "v5e:16x16, v5p:8x8x16, v4:4x4x4, v6e:16x16, tpu7x:4x4x4"

# Read by libtpu when it is loaded. Without them it asks the metadata server of a cloud machine what it runs
# on, and complains when there is none; it logs to /tmp/tpu_logs; and it lets one process in at a time, which
# is right for a real TPU and needless for a compiler.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-256",
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def tpu_devices(name: str) -> list[Any]:
    """The devices of a TPU slice, to compile for on any machine.

    Put them into a mesh, and lower and compile a jitted function for arrays sharded over it; nothing can
    run on them. No TPU and no TPU backend is needed, only libtpu; many processes can do so at once.

    Args:
        name: generation and chips along each axis, as `v5e:16x16`.

    Returns:
        The `jax.Device`s; one a chip, two for `tpu7x`.

    Raises:
        ValueError: libtpu is not installed, or there is no such slice.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise ValueError(
            f"--topology={name}: compiling for TPUs needs libtpu: pip install -r requirements-tpu.txt"
        )
    generation, _, sizes = name.partition(":")
    if not re.fullmatch(r"\d+(x\d+){1,2}", sizes):
        raise ValueError(
            f"--topology={name}: expected generation:chips along each axis, as {EXAMPLES}"
        )
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    try:
        topology = topologies.get_topology_desc(
            name, platform="tpu", **_arrangement(generation, [int(n) for n in sizes.split("x")])
        )
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--topology={name}: {reason}; expected one as {EXAMPLES}") from None
    return topology.devices


def _arrangement(generation: str, sizes: list[int]) -> dict[str, Any]:
    """What libtpu has to be told beyond the name.

    Args:
        generation: as `v5e`.
        sizes: chips along each axis.
    """
    arrangement: dict[str, Any] = {}
    if generation == "v4":
        # The two cores of a chip as one device, as JAX has them on a real v4.
        arrangement["chip_config_name"] = "megacore"
    if math.prod(sizes) == 1:
        arrangement["chips_per_host_bounds"] = [1, 1, 1]
    return arrangement
